"""Graphs of a few nodes, written by hand."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper


def two_four(shape, axis=1):
    """Weights of which the first two of each four along `axis` are zero."""
    weight = np.ones(shape, np.float32)
    np.moveaxis(weight, axis, 0)[[index for index in range(shape[axis]) if index % 4 < 2]] = 0
    return weight


class Net:
    """Nodes between the inputs and the outputs that `model` is told; each node is named after its output."""

    two_four = staticmethod(two_four)

    def __init__(self):
        self.nodes, self.stored = [], []
        self.inputs = {"x": (TensorProto.FLOAT, [1, 16, 8, 8])}

    def const(self, name, array):
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, inputs, output, outputs=(), **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output, *outputs], name=output, **attributes))
        return output

    def pair(self, source, name, scale=0.1, zero=0, codes=np.int8, **attributes):
        """Q and DQ, `name/q` and `name`; several scales are per channel of `axis`."""
        steps = self.const(f"{name}/scale", np.asarray(scale, np.float32) if np.isscalar(scale) else scale)
        shape = np.shape(scale)
        zeros = self.const(f"{name}/zero", np.full(shape, zero, codes))
        self.op("QuantizeLinear", [source, steps, zeros], f"{name}/q", **attributes)
        return self.op("DequantizeLinear", [f"{name}/q", steps, zeros], name, **attributes)

    def weight(self, name, array, axis=0, **more):
        """A quantized weight with a scale per channel."""
        scale = np.full(np.shape(array)[axis], 0.01, np.float32)
        return self.pair(self.const(f"{name}.weight", np.asarray(array, np.float32)), f"{name}.w", scale, axis=axis,
                         **more)

    def conv(self, x, name, ins=16, outs=16, weight=None, **attributes):
        array = two_four((outs, ins, 1, 1)) if weight is None else weight
        return self.op("Conv", [x, self.weight(name, array)], name, **attributes)

    def sound(self, x="x", name="net"):
        """Two layers that meet every rule."""
        first = self.conv(self.pair(x, f"{name}.in"), f"{name}.1")
        relu = self.op("Relu", [first], f"{name}.relu")
        second = self.conv(self.pair(relu, f"{name}.mid"), f"{name}.2")
        return self.pair(second, f"{name}.out")

    def model(self, *outputs, opset=21, ir_version=10, domains=(), functions=()):
        infos = [helper.make_tensor_value_info(name, *info) for name, info in self.inputs.items()]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", infos, made, self.stored)
        imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
        return ir.from_proto(helper.make_model(graph, opset_imports=imports, ir_version=ir_version,
                                               functions=list(functions)))


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def nets():
    """Makes new ones."""
    return Net
