from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from twofour.export.graph.surroundings import computed_weights, surroundings


class Net:
    """Nodes between the input `x` and whatever is named an output; types are left to the reader."""

    def __init__(self):
        self.nodes, self.stored = [], []

    def const(self, name, array):
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def pair(self, source, name):
        scale = self.const(f"{name}/scale", np.float32(0.1))
        codes = self.op("QuantizeLinear", [source, scale], f"{name}/codes")
        return self.op("DequantizeLinear", [codes, scale], name)

    def conv(self, x, name, ins=8, outs=8, **attributes):
        weight = self.pair(self.const(f"{name}.weight", np.ones((outs, ins, 1, 1), np.float32)), f"{name}.w")
        return self.op("Conv", [x, weight], name, **attributes)

    def model(self, *outputs):
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", *outputs)]
        graph = helper.make_graph(self.nodes, "net", infos[:1], infos[1:], self.stored)
        return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]))


@pytest.fixture
def net():
    return Net()


def test_integers_in_and_out(net):
    net.op("Relu", [net.conv(net.pair("x", "a"), "conv")], "relu")
    found = surroundings(net.model(net.pair("relu", "b")))["conv"]
    assert found.int8_in
    assert found.float_reader is None
    assert found.constant
    assert found.group == 1


def test_float_goes_in(net):
    assert not surroundings(net.model(net.pair(net.conv("x", "conv", group=2), "b")))["conv"].int8_in
    assert surroundings(net.model("b"))["conv"].group == 2


def test_float_comes_out_into_the_networks_output(net):
    assert surroundings(net.model(net.conv(net.pair("x", "a"), "conv")))["conv"].float_reader == "the network's output"


def test_float_comes_out_into_another_operator(net):
    net.op("Relu", [net.conv(net.pair("x", "a"), "conv")], "relu")
    net.pair("relu", "b")
    assert surroundings(net.model("b", net.op("Softmax", ["relu"], "y")))["conv"].float_reader == "Softmax"


@pytest.mark.parametrize(("quantized", "reader"), [(True, None), (False, "Add")])
def test_an_addition_takes_the_dtype_of_the_other_branch(net, quantized, reader):
    skip = net.pair("x", "skip") if quantized else net.op("Relu", ["x"], "skip")
    total = net.op("Add", [net.conv(net.pair("x", "a"), "conv"), skip], "total")
    assert surroundings(net.model(net.pair(total, "b")))["conv"].float_reader == reader


def test_a_bias_that_is_added_and_silu_stay_inside_the_kernel(net):
    total = net.op("Add", [net.conv(net.pair("x", "a"), "conv"), net.const("bias", np.ones(8, np.float32))], "total")
    gate = net.op("Sigmoid", [total], "gate")
    out = net.pair(net.op("Mul", [total, gate], "silu"), "b")
    assert surroundings(net.model(out))["conv"].float_reader is None


def test_a_matmul_with_the_weight_on_the_left(net):
    weight = net.pair(net.const("weight", np.ones((4, 8), np.float32)), "w")
    net.op("MatMul", [weight, net.pair("x", "a")], "left")
    found = surroundings(net.model("left"))["left"]
    assert found.int8_in
    assert found.constant
    net.op("MatMul", [weight, "x"], "float")
    assert not surroundings(net.model("float"))["float"].int8_in


def test_weights_that_are_computed(net):
    net.op("Conv", ["x", net.op("Relu", ["x"], "made")], "conv")
    net.op("MatMul", ["x", "x"], "attention")
    model = net.model("conv", "attention")
    assert [found.name for found in computed_weights(model)] == ["conv"]
    assert not surroundings(model)["conv"].constant


def test_gelu_stays_inside_the_kernel(net):
    net.op("Gelu", [net.conv(net.pair("x", "a"), "conv")], "gelu")
    assert surroundings(net.model(net.pair("gelu", "b")))["conv"].float_reader is None


@pytest.mark.parametrize("question", ["Shape", "Size"])
def test_who_asks_for_the_size_reads_no_numbers(net, question):
    conv = net.conv(net.pair("x", "a"), "conv")
    assert surroundings(net.model(net.op(question, [conv], "y"), net.pair(conv, "b")))["conv"].float_reader is None
