"""What the linter says of graphs that real tools write."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from twofour.export.config import ExportConfig
from twofour.export.graph.lint import lint, predict
from twofour.export.graph.load import load
from twofour.export.torch_onnx import export


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("which", ["resnet", "vit"])
def test_our_own_exports_have_no_errors(request, pictures, exporter, which):
    model = export(request.getfixturevalue(which), pictures[0][0], ExportConfig(exporter=exporter))
    for release in (None, "10.12", "11.4"):
        assert [one for one in lint(model, release) if one.severity == "error"] == []
    if which == "resnet":
        sparse = {one.node for one in predict(model) if one.verdict != "won't"}
        assert sparse == {"body.0.conv1", "body.1.conv1", "body.1.conv2", "up", "head"}


class Pictures(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": np.random.default_rng(0).normal(1, 1, (2, 4, 8, 8)).astype(np.float32)}]

    def get_next(self):
        return self.left.pop() if self.left else None


@pytest.fixture
def convolutions(tmp_path):
    """Conv, Relu, Conv."""
    rng = np.random.default_rng(0)
    stored = [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
              for name, shape in {"w1": (8, 4, 3, 3), "b1": (8,), "w2": (4, 8, 3, 3), "b2": (4,)}.items()]
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "c1"), helper.make_node("Relu", ["c1"], ["r"], "r"),
             helper.make_node("Conv", ["r", "w2", "b2"], ["y"], "c2")]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
             for name, shape in {"x": [2, 4, 8, 8], "y": [2, 4, 4, 4]}.items()]
    model = helper.make_model(helper.make_graph(nodes, "net", infos[:1], infos[1:], stored),
                              opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "float.onnx")
    return tmp_path / "float.onnx"


def static(source, activation, **options):
    written = source.with_name("quantized.onnx")
    quantize_static(source, written, Pictures(), quant_format=QuantFormat.QDQ, activation_type=activation,
                    weight_type=QuantType.QInt8, per_channel=True, extra_options=options)
    return lint(load(written))


def errors(found):
    return Counter(one.id for one in found if one.severity == "error")


def test_onnxruntimes_unsigned_codes(convolutions):
    assert set(errors(static(convolutions, QuantType.QUInt8))) == {"QDQ002", "QDQ006"}


def test_onnxruntimes_asymmetric_codes(convolutions):
    assert set(errors(static(convolutions, QuantType.QInt8))) == {"QDQ001", "QDQ006"}


def test_onnxruntimes_codes_that_tensorrt_takes(convolutions):
    found = static(convolutions, QuantType.QInt8, ActivationSymmetric=True, QuantizeBias=False)
    assert not errors(found)
    assert {one.id for one in found} <= {"FUSE002"}  # it parts a convolution from its Relu


def test_onnxruntimes_dynamic_quantization(convolutions):
    written = convolutions.with_name("dynamic.onnx")
    quantize_dynamic(convolutions, written, weight_type=QuantType.QUInt8)
    found = [one for one in lint(load(written)) if one.id == "OPS001"]
    assert {one.text.split("import ")[1].split(" ")[0] for one in found} == {"DynamicQuantizeLinear", "ConvInteger"}
    assert all("QuantFormat.QDQ" in one.fix for one in found)
