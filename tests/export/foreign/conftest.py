from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from twofour.export.foreign.convert import Converted, convert

Array = np.ndarray[Any, Any]
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def graph(nodes, inputs, constants, outputs=("y",), opset=21, kind=FLOAT, domains=()) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes, "test", [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    proto = helper.make_model(made, opset_imports=opsets, ir_version=8 if opset < 19 else 10)
    return proto if domains else onnx.shape_inference.infer_shapes(proto, strict_mode=True)


def answer(proto: onnx.ModelProto, **inputs: Array) -> list[Array]:
    """By ONNX Runtime with its own optimizations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(proto.SerializeToString(), options).run(None, inputs)


def converted(proto: onnx.ModelProto) -> Converted:
    return convert(ir.from_proto(copy.deepcopy(proto)), "model.onnx")


def bit_for_bit(proto: onnx.ModelProto, **inputs: Array) -> onnx.ModelProto:
    """The converted graph, which was checked and answers as the given one does."""
    result = converted(proto)
    assert result.exact
    made = ir.to_proto(result.model)
    onnx.checker.check_model(made, full_check=True)
    for before, after in zip(answer(proto, **inputs), answer(made, **inputs), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)
    for node in made.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = next(value for value in made.graph.initializer if value.name == node.input[2])
            assert zero.data_type == onnx.TensorProto.INT8
            assert not np.any(onnx.numpy_helper.to_array(zero))
    return made


class Reader(CalibrationDataReader):
    def __init__(self, batches):
        self.batches = iter([{"x": batch} for batch in batches])

    def get_next(self):
        return next(self.batches, None)


@pytest.fixture(scope="session")
def pictures() -> Array:
    from sklearn.datasets import load_digits

    return (load_digits().images[:96, None] / 8 - 1).astype(np.float32)


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory):
    """The digits' residual network, of random weights, as PyTorch exports it."""
    import torch

    from twofour.training.models import tiny_resnet

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("digits") / "float.onnx"
    network = tiny_resnet(widths=[16, 32], blocks=1).eval()
    torch.onnx.export(
        network, (torch.zeros(2, 1, 8, 8),), str(path), dynamo=False, opset_version=17, input_names=["x"],
        output_names=["logits"], dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
    )
    return path


@pytest.fixture(scope="session")
def quantized(digits_file, pictures, tmp_path_factory) -> Callable[..., onnx.ModelProto]:
    """`quantize_static` of the digits' network."""

    def make(activation=QuantType.QInt8, weight=QuantType.QInt8, per_channel=True, **options):
        path = tmp_path_factory.mktemp("quantized") / "int8.onnx"
        quantize_static(
            digits_file, path, Reader([pictures[:64]]), activation_type=activation, weight_type=weight,
            quant_format=QuantFormat.QDQ, per_channel=per_channel, extra_options=options,
        )
        return onnx.load(path)

    return make


@pytest.fixture(scope="session")
def dynamic(digits_file, tmp_path_factory) -> onnx.ModelProto:
    path = tmp_path_factory.mktemp("dynamic") / "int8.onnx"
    quantize_dynamic(digits_file, path)
    return onnx.load(path)


@pytest.fixture
def tools() -> Any:
    """The helpers of this file, as one object."""
    named = {"graph": graph, "answer": answer, "converted": converted, "bit_for_bit": bit_for_bit}
    return type("Tools", (), {name: staticmethod(made) for name, made in named.items()})
