import pytest
from torch import nn

from twofour.common.errors import UserError
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.good = nn.Conv2d(16, 8, 3)
        self.narrow = nn.Conv2d(4, 8, 3)
        self.outputs = nn.Linear(16, 10)
        self.grouped = nn.Conv2d(32, 32, 3, groups=2)
        self.depthwise = nn.Conv2d(32, 32, 3, groups=32)
        self.up = nn.ConvTranspose2d(16, 8, 2)
        self.attention = nn.MultiheadAttention(16, 2)


def table(**patterns):
    return {layer.name: layer for layer in list_layers(Net(), LayersConfig(**patterns))}


def test_the_rule_and_its_reasons():
    layers = table()
    assert [name for name, layer in layers.items() if layer.sparse] == ["good", "up"]
    assert "16" in layers["narrow"].reason
    assert "10 outputs" in layers["outputs"].reason
    assert "grouped" in layers["grouped"].reason
    assert "MultiheadAttention" in layers["attention.out_proj"].reason
    assert (layers["up"].kind, layers["up"].shape) == ("ConvTranspose2d", [16, 8, 2, 2])


def test_patterns_overrule_the_rule_and_exclude_wins():
    layers = table(include=["narrow", "gr*", "good"], exclude=["goo*"])
    assert layers["narrow"].sparse
    assert layers["grouped"].sparse
    assert not layers["good"].sparse
    assert layers["good"].reason == "excluded by the recipe"


def test_an_axis_that_does_not_divide_by_four_is_refused():
    with pytest.raises(UserError, match="depthwise") as raised:
        table(include=["depth*"])
    assert raised.value.exit_code == 2


def test_a_pattern_without_a_match_names_the_nearest_layers():
    with pytest.raises(UserError, match="narrow"):
        table(exclude=["narow"])
