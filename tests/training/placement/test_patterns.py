import pytest
import torch
from torch import nn

from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training.placement.patterns import choose
from twofour.training.quantize import enabled, place

X = torch.randn(2, 8, 6, 6)


def test_entries_are_applied_in_order():
    names = ["a.input_quantizer", "b.input_quantizer", "b.weight_quantizer"]
    assert choose(["b.*", "!*.weight_quantizer"], {}, names) == {"b.input_quantizer"}
    assert choose(["!b.*", "b.*"], {}, names) == {"b.input_quantizer", "b.weight_quantizer"}
    assert choose(["all", "!a.*"], {"all": set(names)}, names) == set(names[1:])


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="matches no quantizer") as raised:
        choose(["tensorrt", "!haed.*"], {"tensorrt": set()}, ["head.input_quantizer"])
    assert "head.input_quantizer" in raised.value.fix


def test_a_policy_less_some_layers_and_with_sums_it_leaves_alone(block):
    model = nn.Sequential(block(), nn.Conv2d(8, 8, 1)).eval()
    place(model, ["tensorrt", "!1.*", "0.add_0.*"], X)
    names = set(enabled(model))
    assert not any(name.startswith("1.") for name in names)
    assert "0.add_0.input_quantizer_a" in names
    assert model[0].add_0.input_quantizer_b is model[0].conv1.input_quantizer


def test_the_recipe_s_key():
    assert CalibrateConfig().placement == "tensorrt"
    assert CalibrateConfig(placement=["tensorrt", "!x"]).placement == ["tensorrt", "!x"]
    for wrong in ("tensort", [], [""], ["!"]):
        with pytest.raises(ValueError, match="placement"):
            CalibrateConfig(placement=wrong)
