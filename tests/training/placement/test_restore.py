"""A placed network through the stages: calibrated, trained, saved and restored."""

import json

import pytest
import torch

from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training.calibration import calibration_stage
from twofour.training.config import ModelConfig
from twofour.training.quantize import enabled
from twofour.training.restore import PLACEMENT, load_stage, read_placement
from twofour.training.stage import train_stage

VIT = ModelConfig(factory="twofour.training.models:tiny_vit", args={"size": 8, "dim": 16, "depth": 1, "heads": 2})
METHOD = {"method": "max", "batches": 1}


@pytest.fixture(params=["resnet", "vit"])
def network(request, model):
    return model if request.param == "resnet" else VIT


@pytest.mark.parametrize("policy", ["tensorrt-sparse", "weights-and-inputs", ["tensorrt", "!head.*"]])
def test_a_stage_is_restored_as_it_was_placed(network, data, ask, tmp_path, policy):
    first, second = tmp_path / "calibrate", tmp_path / "qat"
    calibration_stage(network, data, CalibrateConfig(placement=policy, **METHOD), None, first, 0)
    before = load_stage(network, first)
    train_stage(ask("qat", 1, model=network, student=first), second)
    after = load_stage(network, second)
    assert read_placement(first) == read_placement(second)
    assert list(enabled(before)) == list(enabled(after))
    shared = [names for names in read_placement(first).quantizers if len(names) > 1]
    for names in shared:
        assert len({id(after.get_submodule(name)) for name in names}) == 1
    assert bool(shared) == (policy != "weights-and-inputs")
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(load_stage(network, second)(x), after(x))
    assert not torch.equal(before(x), after(x))


def test_a_folder_that_doesn_t_say_has_the_placement_of_layers_and_sums(model, data, tmp_path):
    calibration_stage(model, data, CalibrateConfig(placement="onnxruntime", **METHOD), None, tmp_path, 0)
    names = list(enabled(load_stage(model, tmp_path)))
    (tmp_path / PLACEMENT).unlink()
    assert list(enabled(load_stage(model, tmp_path))) == names
    assert "body.0.add.input_quantizer_a" in names


def test_a_damaged_or_foreign_placement_is_refused(model, data, tmp_path):
    calibration_stage(model, data, CalibrateConfig(**METHOD), None, tmp_path, 0)
    path = tmp_path / PLACEMENT
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "quantizers": [["other.input_quantizer"]]}))
    with pytest.raises(UserError, match="doesn't fit the network"):
        load_stage(model, tmp_path)
    path.write_text(json.dumps({**content, "sites": 3}))
    with pytest.raises(UserError, match="damaged"):
        load_stage(model, tmp_path)
