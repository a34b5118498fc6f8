"""What an engine says of its inputs and outputs, and what arrays can't hold."""

import numpy as np
import onnx
import pytest

from twofour.common.errors import UserError
from twofour.engines.tensorrt.logger import Log, logger
from twofour.engines.tensorrt.ports import dtype_of, ports_of
from twofour.engines.tensorrt.runner import TensorRTRunner

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


@pytest.fixture
def engine(gpu, trt):
    def load(node, output):
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph([node], "net", [value("x", FLOAT, ["n", 4])], [output])
        made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
        made.ir_version = 10
        writer = logger(Log(loud=False))
        builder = trt.Builder(writer)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        assert trt.OnnxParser(network, writer).parse(made.SerializeToString())
        config = builder.create_builder_config()
        profile = builder.create_optimization_profile()
        profile.set_shape("x", (1, 4), (2, 4), (8, 4))
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        return trt.Runtime(writer).deserialize_cuda_engine(bytes(plan))

    return load


@pytest.fixture
def plain(engine):
    return engine(onnx.helper.make_node("Relu", ["x"], ["y"]), onnx.helper.make_tensor_value_info("y", FLOAT, ["n", 4]))


def test_names_dtypes_shapes_and_ranges(plain):
    ports = ports_of(plain)
    x, y = ports.inputs["x"], ports.outputs["y"]
    assert (x.dtype, x.shape, x.ranges, x.on_host) == ("float32", (-1, 4), ((1, 4), (2, 4), (8, 4)), False)
    assert (y.dtype, y.shape, y.ranges) == ("float32", (-1, 4), None)
    assert ports.batches == (1, 2, 8)


def test_a_layout_that_no_plain_array_has_is_refused(plain, trt, monkeypatch):
    monkeypatch.setattr(trt.ICudaEngine, "get_tensor_format", lambda self, name, index: trt.TensorFormat.CHW32)
    with pytest.raises(UserError, match=r"'x' in the layout CHW32.*--inputIOFormats"):
        ports_of(plain)


@pytest.mark.parametrize("kind", ["FP8", "INT4"])
def test_a_data_type_that_no_array_holds_is_refused(trt, kind):
    with pytest.raises(UserError, match=f"'x' has the data type {kind}"):
        dtype_of(getattr(trt.DataType, kind), "x")


def test_an_output_whose_size_depends_on_values_is_refused_and_nothing_is_left(engine, cuda):
    places = onnx.helper.make_tensor_value_info("y", INT64, [2, "k"])
    made = engine(onnx.helper.make_node("NonZero", ["x"], ["y"]), places)
    with TensorRTRunner(made) as runner, pytest.raises(UserError, match="size of the output 'y' depends on"):
        runner.infer({"x": np.ones((2, 4), np.float32)})
    assert not cuda.alive()
