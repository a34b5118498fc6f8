import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import yaml
from torch import nn

from twofour.common.errors import UserError
from twofour.export.config import ExportConfig
from twofour.export.torch_onnx import export
from twofour.pipeline.run import open_run, run
from twofour.training.config import LayersConfig, TrainConfig
from twofour.training.eligibility import list_layers
from twofour.training.given import given_quantizers, given_ranges, refuse_training

FOLDER = Path(__file__).parent


def networks():
    spec = importlib.util.spec_from_file_location("given_networks", FOLDER / "given_networks.py")
    module = sys.modules.setdefault("given_networks", importlib.util.module_from_spec(spec))
    if not hasattr(module, "modelopt"):
        spec.loader.exec_module(module)
    return module


class One(nn.Module):
    """A Linear behind a quantizer of each kind, as pytorch-quantization has them."""

    def __init__(self, **settings):
        super().__init__()
        self.fc = networks().QuantLinear(nn.Linear(8, 8))
        self.fc._input_quantizer = networks().TensorQuantizer(**{"amax": torch.tensor(2.0), **settings})

    def forward(self, x):
        return self.fc(x)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_unsigned": True}, "unsigned"),
        ({"_num_bits": 4}, "4 bits"),
        ({"_num_bits": (4, 3)}, "FP8"),
        ({"_scale_amax": 0.9}, "factor"),
        ({"_learn_amax": True}, "learned"),
        ({"_if_calib": True}, "still calibrating"),
        ({"_fake_quant": False}, "real instead of fake"),
        ({"block_sizes": {-1: 16}}, "per block"),
        ({"pre_quant_scale": torch.ones(8)}, "smoothing"),
        ({"_dynamic": True}, "dynamic"),
        ({"_amax": torch.ones(1, 8)}, None),
        ({"_amax": torch.linspace(1, 2, 8)}, "per channel of an activation"),
        ({"_amax": torch.tensor(float("nan"))}, "NaN"),
    ],
)
def test_what_int8_cannot_say_is_refused_with_the_quantizer_and_the_way_out(change, said):
    network = One()
    for name, value in change.items():
        setattr(network.fc._input_quantizer, name, value)
    if said is None:
        said = "per channel of an activation"
    with pytest.raises(UserError, match=said) as caught:
        given_ranges(network)
    assert caught.value.where == "fc._input_quantizer"
    assert caught.value.fix


def test_a_quantizer_that_was_never_calibrated_and_a_disabled_one():
    network = One(amax=None)
    with pytest.raises(UserError, match="never calibrated"):
        given_ranges(network)
    network.fc._input_quantizer._disabled = True
    assert list(given_quantizers(network)) == ["fc._weight_quantizer"]


def test_a_weight_that_needs_the_code_below_minus_127_is_refused():
    network = One()
    network.fc._weight_quantizer._amax *= 0.5
    with pytest.raises(UserError, match="-128"):
        given_ranges(network)
    network.fc._weight_quantizer._narrow_range = True
    assert len(given_ranges(network)) == 2


def test_half_of_the_unsigned_range_is_the_same_in_int8():
    network, x = One(num_bits=7, unsigned=True).eval(), torch.rand(32, 8) * 3
    assert len(given_ranges(network)) == 2
    session = ort.InferenceSession(proto(export(network, x, ExportConfig())))
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], network(x).numpy(), atol=1e-5)


def proto(model) -> bytes:
    import onnx_ir as ir

    return ir.to_proto(model).SerializeToString()


def test_quantizers_belong_to_finished_weights():
    network = One()
    refuse_training(network, [TrainConfig(stage="dense", epochs=0), TrainConfig(stage="qat")])
    for stage in (TrainConfig(stage="dense", epochs=1), TrainConfig(stage="sparse")):
        with pytest.raises(UserError, match="comes with quantizers"):
            refuse_training(network, [stage])


def test_convolutions_of_pytorch_quantization_are_layers_like_any_other():
    layers = {layer.name: layer.kind for layer in list_layers(networks().pytorch_quantization(), LayersConfig())}
    assert set(layers.values()) == {"Conv2d", "Linear"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "training", "ending"),
    [("modelopt", [], ".input_quantizer"), ("pytorch_quantization", [], "._input_quantizer"),
     ("modelopt", [{"stage": "qat", "epochs": 1}], ".input_quantizer")],
)
def test_a_network_quantized_elsewhere_is_exported_with_its_own_ranges(
    tmp_path, monkeypatch, capfd, factory, training, ending
):
    monkeypatch.syspath_prepend(str(FOLDER))
    network = getattr(networks(), factory)()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({
        "name": "given", "model": {"factory": f"given_networks:{factory}"}, "calibrate": {"method": "given"},
        "data": {"factory": "twofour.training.data:digits", "args": {"size": 8}}, "training": training,
    }))
    outcome = run(*open_run(recipe, tmp_path / "run", []), "export")
    assert "comes with" in capfd.readouterr().err
    manifest = json.loads((tmp_path / "run/bundle/bundle.json").read_text())
    kept = {entry.tensor: entry.amax for entry in given_ranges(network)}
    assert {entry["tensor"]: entry["amax"] for entry in manifest["ranges"]} == kept
    assert {entry["method"] for entry in manifest["ranges"]} == {"given"}
    names = {node.name for node in onnx.load(tmp_path / "run/bundle/model.onnx").graph.node}
    assert {f"{name}/QuantizeLinear" for name in kept} <= names
    assert any(name.endswith(ending) for name in kept)
    assert {layer["name"] for layer in manifest["layers"]} <= names
    assert "calibrate" in outcome.done
    reference = np.load(tmp_path / "run/bundle/reference.npz")
    session = ort.InferenceSession(tmp_path / "run/bundle/model.onnx")
    answer = session.run(None, {"x": reference["inputs/x"]})[0]
    assert np.mean(answer.argmax(1) == reference["outputs/logits"].argmax(1)) > 0.98


def test_a_recipe_that_says_given_needs_quantizers(tmp_path):
    from twofour.calibrate.config import CalibrateConfig
    from twofour.training.calibration import calibration_stage
    from twofour.training.config import DataConfig, ModelConfig

    data = DataConfig(factory="twofour.training.data:digits", args={"size": 8})
    model = ModelConfig(factory="twofour.training.models:tiny_resnet", args={"widths": [16], "blocks": 1})
    with pytest.raises(UserError, match="comes without quantizers"):
        calibration_stage(model, data, CalibrateConfig(method="given"), None, tmp_path, 0)
