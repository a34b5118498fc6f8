"""Q/DQ graphs named as the exporters name them, and what ONNX Runtime answers to them with optimizations on and off."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper


class Graph:
    """Nodes and constants of a graph with the input `x` and the output `y`."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes, self.stored = [], []
        self.random = np.random.default_rng(seed)

    def const(self, name, array):
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, inputs, output, name=None, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name or output, **attributes))
        return output

    def quantize(self, source, name, scale):
        rest = [self.const(f"{name}/scale", np.float32(scale)), self.const(f"{name}/zero_point", np.int8(0))]
        codes = self.op("QuantizeLinear", [source, *rest], f"{name}/codes", f"{name}/QuantizeLinear")
        return self.op("DequantizeLinear", [codes, *rest], name, f"{name}/DequantizeLinear")

    def weight(self, array, layer, axis=0):
        name = f"{layer}.weight_quantizer"
        amax = np.abs(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)).max(1)
        scale = self.const(f"{name}/scale", (amax / 127).astype(np.float32))
        rest = [scale, self.const(f"{name}/zero_point", np.zeros(len(amax), np.int8))]
        source = self.const(f"{layer}.weight", array.astype(np.float32))
        codes = self.op("QuantizeLinear", [source, *rest], f"{name}/codes", f"{name}/QuantizeLinear", axis=axis)
        return self.op("DequantizeLinear", [codes, *rest], name, f"{name}/DequantizeLinear", axis=axis)

    def conv(self, x, name, ins, outs, kernel=3, stride=1, scale=0.04, weight=None):
        if weight is None:
            weight = self.random.standard_normal((outs, ins, kernel, kernel)) * np.sqrt(2 / (ins * kernel**2))
        x, w = self.quantize(x, f"{name}.input_quantizer", scale), self.weight(weight, name)
        bias = self.const(f"{name}.bias", (self.random.standard_normal(outs) / 10).astype(np.float32))
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self.op("Conv", [x, w, bias], f"{name}/out", name, **shape)

    def model(self, shape, output="y", rank=2):
        dims = [f"d{index}" for index in range(rank)]
        graph = helper.make_graph(
            self.nodes, "net",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, dims)],
            self.stored,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        onnx.checker.check_model(made)
        return made


def resnet(seed=0, widths=(16, 32), prune=()):
    """Stem, a residual block per width, pooling, head; layers named in `prune` are 2:4."""
    graph = Graph(seed)

    def pruned(name, outs, ins, kernel):
        weight = graph.random.standard_normal((outs, ins, kernel, kernel)) * np.sqrt(2 / (ins * kernel**2))
        if name in prune:
            weight[:, np.arange(ins) % 4 < 2] = 0
        return weight

    def conv(x, name, ins, outs, kernel=3, stride=1, scale=0.04):
        return graph.conv(x, name, ins, outs, kernel, stride, scale, pruned(name, outs, ins, kernel))

    x, ins = graph.op("Relu", [conv("x", "stem", 3, widths[0])], "stem/relu"), widths[0]
    for index, outs in enumerate(widths):
        name, stride = f"body.{index}", 2 if index else 1
        inner = graph.op("Relu", [conv(x, f"{name}.conv1", ins, outs, 3, stride)], f"{name}.relu1")
        inner = conv(inner, f"{name}.conv2", outs, outs, 3, 1, 0.03)
        side = conv(x, f"{name}.down", ins, outs, 1, stride) if stride != 1 else x
        a = graph.quantize(inner, f"{name}.add.input_quantizer_a", 0.05)
        b = graph.quantize(side, f"{name}.add.input_quantizer_b", 0.04)
        x, ins = graph.op("Relu", [graph.op("Add", [a, b], f"{name}.add")], f"{name}.relu2"), outs
    x = graph.op("Flatten", [graph.op("GlobalAveragePool", [x], "pool")], "flat")
    x = graph.quantize(x, "head.input_quantizer", 0.02)
    w = graph.weight(graph.random.standard_normal((10, ins)) / np.sqrt(ins), "head")
    graph.op("Gemm", [x, w, graph.const("head.bias", np.ones(10, np.float32))], "logits", "head", transB=1)
    return graph.model((3, "h", "w"), "logits")


def _session(model, optimized, path: Path | None = None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    if path:
        options.optimized_model_filepath = str(path)
    proto = model if isinstance(model, onnx.ModelProto) else ir.to_proto(model)
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Tools:
    """What the tests of the passes need."""

    Graph, resnet = Graph, staticmethod(resnet)

    @staticmethod
    def ir(model: onnx.ModelProto) -> ir.Model:
        return ir.from_proto(model)

    @staticmethod
    def answer(model, x, optimized=False):
        """The first output, with ONNX Runtime's optimizations on or off."""
        return _session(model, optimized).run(None, {"x": x})[0]

    @staticmethod
    def kernels(model, folder: Path) -> Counter[str]:
        """The operators of the optimized graph."""
        _session(model, True, folder / "optimized.onnx")
        return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


@pytest.fixture(scope="session")
def tools():
    return Tools
