"""Placement in the exported file: every quantizer once, shared ones with equal scales, PyTorch's answers."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from twofour.export.config import ExportConfig
from twofour.export.graph.values import constant
from twofour.export.recorder import Recorder
from twofour.export.stage import activations
from twofour.export.torch_onnx import export

EXPORTERS = pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])


class Everything(nn.Module):
    """A residual sum, a concatenation, attention over the pixels, pooling."""

    def __init__(self, block, joined):
        super().__init__()
        self.block, self.joined = block(), joined()
        self.qkv = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 8)
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        x = self.joined(self.block(x))
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        x = self.out(F.scaled_dot_product_attention(*(layer(tokens)[:, None] for layer in self.qkv))[:, 0])
        x = F.adaptive_avg_pool2d(x.transpose(1, 2).unflatten(2, (6, 6)), 1)
        return self.head(x).flatten(1)


@pytest.fixture
def everything(block, joined, placed):
    torch.manual_seed(0)
    model, inputs = Everything(block, joined).eval(), torch.randn(4, 8, 6, 6)
    return model, placed(model, "tensorrt", inputs), inputs


def run(model, inputs):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": inputs.numpy()})[0]


def quantizes(model):
    return {node.name.removesuffix("/QuantizeLinear"): node for node in model.graph if node.op_type == "QuantizeLinear"}


@EXPORTERS
def test_the_file_has_what_was_placed(everything, exporter):
    model, groups, inputs = everything
    exported = export(model, inputs, ExportConfig(exporter=exporter, opset=20))
    found = quantizes(exported)
    names = {name for name in found if not name.endswith("weight_quantizer")}
    firsts = {name.split("#")[0] for name in names}
    assert all(len(firsts & set(names)) == 1 for names in groups)
    assert len(firsts) == len(groups)
    joined = sorted(name for name in names if name.startswith("joined.out.input_quantizer"))
    assert joined == [f"joined.out.input_quantizer{number}" for number in ("", "#1", "#2")]
    assert len({float(constant(found[name].inputs[1])) for name in joined}) == 1
    kinds = Counter(node.op_type for node in exported.graph)
    assert kinds["QuantizeLinear"] == kinds["DequantizeLinear"] == len(found)
    with torch.no_grad():
        np.testing.assert_allclose(run(exported, inputs), model(inputs).numpy(), atol=2e-3)


@EXPORTERS
def test_a_tensor_read_by_several_layers_is_quantized_once(everything, exporter):
    model, _, inputs = everything
    exported = export(model, inputs, ExportConfig(exporter=exporter, opset=20))
    tokens = next(node for node in exported.graph if node.name == "qkv.0.input_quantizer/DequantizeLinear")
    readers = {node.name for node, _ in tokens.outputs[0].uses()}
    assert {"qkv.0", "qkv.1", "qkv.2"} <= readers
    assert "qkv.0.input_quantizer#1" not in quantizes(exported)


def test_what_is_recorded_has_the_names_of_the_graph(everything):
    model, _, inputs = everything
    exported = export(model, inputs, ExportConfig(exporter="torchscript", opset=20))
    recorder = Recorder(model, by_name=False)
    recorded = recorder.layers({"x": inputs.numpy()}, activations(exported))
    assert {f"tensors/{name}" for name in activations(exported)} == {name for name in recorded if "tensors/" in name}
    values = {value.name: value for node in exported.graph for value in node.outputs}
    exported.graph.outputs.extend(values[name] for name in activations(exported))
    session = ort.InferenceSession(
        ir.to_proto(exported).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()][1:]
    for name, value in zip(names, session.run(names, {"x": inputs.numpy()}), strict=True):
        assert value.shape == recorded[f"tensors/{name}"].shape, name
        assert np.mean(np.abs(value - recorded[f"tensors/{name}"])) < 0.02, name
