from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from twofour.common.agreement import snr_db
from twofour.common.errors import UserError
from twofour.export.config import ExportConfig
from twofour.export.graph.int8_weights import weight_codes
from twofour.export.graph.passes import count
from twofour.export.recorder import Recorder
from twofour.export.samples import named_inputs
from twofour.export.torch_onnx import export

EXPORTERS = ["dynamo", "torchscript"]


@pytest.fixture(scope="module")
def exported(resnet: nn.Module, vit: nn.Module, pictures: Any) -> Callable[[str, str], Any]:
    """The graph of a network by an exporter, made once."""
    networks = {"resnet": resnet, "vit": vit}
    return cache(lambda which, exporter: export(networks[which], pictures[0][0], ExportConfig(exporter=exporter)))


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("which", ["resnet", "vit"])
def test_every_quantizer_answers_as_in_pytorch(
    request: pytest.FixtureRequest, exported: Any, pictures: Any, run: Any, exporter: str, which: str
) -> None:
    network = request.getfixturevalue(which)
    model = exported(which, exporter)
    assert model.opset_imports == {"": 21}
    enabled = [
        name for name, module in network.named_modules() if hasattr(module, "_num_bits") and not module._disabled
    ]
    assert (count(model).quantize, count(model).dequantize) == (len(enabled), len(enabled))
    assert {str(node.name) for node in model.graph} >= {f"{name}/QuantizeLinear" for name in enabled}
    _check_layers(network, model, pictures, run, [name for name in enabled if "input" in name])


def _check_layers(network: nn.Module, model: Any, pictures: Any, run: Any, names: list[str]) -> None:
    input_name = next(iter(named_inputs(network, pictures[0][0])))
    for size in (1, 3, 8):
        inputs = {input_name: pictures[0][0][:size].numpy()}
        wanted = Recorder(network, by_name=False).layers(inputs, set(names))
        found = run(model, inputs, *names)
        for name in names:
            step = model.graph.initializers[f"{name}/scale"].const_value.numpy()
            off = np.abs(np.rint(found[name] / step) - np.rint(wanted[f"tensors/{name}"] / step))
            assert off.max() <= 1, name
            assert np.mean(off > 0) < 0.01, name
        ratio = snr_db(wanted["outputs/logits"], found["logits"])
        assert ratio is None or ratio > 40
        assert found["logits"].shape == (size, 10)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_codes_of_the_weights_are_pytorch_s(vit: nn.Module, exported: Any, exporter: str) -> None:
    model = exported("vit", exporter)
    names = {str(node.name): node for node in model.graph}
    for layer in ("patch", "qkv", "proj", "mlp.0", "mlp.2", "head"):
        module = vit.get_submodule(layer)
        amax = module.weight_quantizer.amax
        with torch.no_grad():
            weight = dict(vit.named_parameters())[f"{layer}.weight"]
            wanted = torch.clamp((weight * (127 / amax)).round(), -127, 127).numpy()
        found = weight_codes(names[f"{layer}.weight_quantizer/QuantizeLinear"])
        assert found is not None
        turned = found.T if found.ndim == 2 and found.shape != wanted.shape else found
        if found.ndim == 2 and names[layer].op_type == "MatMul":
            turned = found.T
        np.testing.assert_array_equal(turned, wanted)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_graph_is_clean_and_named(exported: Any, exporter: str) -> None:
    model = exported("resnet", exporter)
    operators = [node.op_type for node in model.graph]
    for unwanted in ("BatchNormalization", "Identity", "Constant", "Transpose", "Cast", "Shape"):
        assert unwanted not in operators
    weighted = {node.name: node.op_type for node in model.graph if node.op_type in ("Conv", "ConvTranspose", "Gemm")}
    assert weighted == {
        "stem": "Conv", "body.0.conv1": "Conv", "body.0.conv2": "Conv", "body.1.conv1": "Conv", "body.1.conv2": "Conv",
        "up": "ConvTranspose", "head": "Gemm",
    }
    assert [value.name for value in model.graph.inputs] == ["picture"]
    assert [value.name for value in model.graph.outputs] == ["logits"]
    assert str(model.graph.inputs[0].shape[0]) == "batch"


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_file_says_nothing_of_the_source_it_came_from(exported: Any, exporter: str) -> None:
    content = ir.to_proto(exported("vit", exporter)).SerializeToString()
    for trace in (b".py", b"pkg.", b"namespace", b"stack_trace"):
        assert trace not in content


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_nothing_is_said(resnet: nn.Module, pictures: Any, exporter: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(resnet, pictures[0][0], ExportConfig(exporter=exporter))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("exporter", "opset"), [
    ("torchscript", 13), ("torchscript", 17), ("torchscript", 23), pytest.param("dynamo", 18, marks=pytest.mark.slow),
    pytest.param("dynamo", 23, marks=pytest.mark.slow),
])
def test_opsets(resnet: nn.Module, pictures: Any, run: Any, exporter: str, opset: int) -> None:
    model = export(resnet, pictures[0][0], ExportConfig(exporter=exporter, opset=opset))
    assert model.opset_imports == {"": opset}
    inputs = {"picture": pictures[1][0].numpy()}
    wanted = Recorder(resnet, by_name=False).answer(inputs, "")
    ratio = snr_db(wanted["logits"], run(model, inputs)["logits"])
    assert ratio is None or ratio > 40


def test_the_network_stays_as_it_was(resnet: nn.Module, pictures: Any) -> None:
    before = {name: value.clone() for name, value in resnet.state_dict().items()}
    modules = [type(module) for module in resnet.modules()]
    export(resnet, pictures[0][0], ExportConfig(exporter="torchscript"))
    assert [type(module) for module in resnet.modules()] == modules
    assert all(torch.equal(value, before[name]) for name, value in resnet.state_dict().items())


class Stubborn(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x - 1


def test_an_untraceable_network_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="dynamo exporter can't trace") as raised:
        export(Stubborn(), torch.randn(2, 3), ExportConfig())
    assert raised.value.exit_code == 2
    assert "torchscript" in str(raised.value.fix)
    assert capfd.readouterr() == ("", "")


def test_a_network_that_rejects_its_inputs_is_explained(resnet: nn.Module) -> None:
    with pytest.raises(UserError, match="fails on a batch"):
        export(resnet, torch.randn(2, 5, 8, 8), ExportConfig())


class Two(nn.Module):
    """Two inputs, a dictionary of two outputs, as Hugging Face's models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, left: torch.Tensor, right: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        hidden = self.first(left)
        return {"logits": self.second(hidden if right is None else hidden - right), "hidden": hidden}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("as_dict", [True, False])
def test_several_inputs_and_outputs(quantize: Any, run: Any, exporter: str, as_dict: bool) -> None:
    torch.manual_seed(0)
    left, right = torch.randn(4, 8), torch.randn(4, 8)
    example: Any = {"right": right, "left": left} if as_dict else (left, right)
    network = quantize(Two(), example)
    model = export(network, example, ExportConfig(exporter=exporter))
    assert [value.name for value in model.graph.outputs] == ["logits", "hidden"]
    found = run(model, {"left": left.numpy(), "right": right.numpy()})
    with torch.no_grad():
        wanted = network(left, right)
    for name in ("logits", "hidden"):
        np.testing.assert_allclose(found[name], wanted[name].numpy(), atol=1e-5)
