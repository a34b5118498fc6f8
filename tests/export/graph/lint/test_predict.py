from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from twofour.export.graph.lint import predict


def quantized(net, ins=256, outs=256, weight=None, **attributes):
    weight = net.two_four((outs, ins, 3, 3)) if weight is None else weight
    layer = net.conv(net.pair("x", "in"), "layer", ins, outs, weight, **attributes)
    return net.model(net.pair(net.op("Relu", [layer], "relu"), "out"))


def test_a_layer_that_meets_every_condition(net):
    [found] = predict(quantized(net))
    assert (found.node, found.verdict, found.change) == ("layer", "will run sparse", None)
    assert "only an engine proves it" in found.reason


@pytest.mark.parametrize(("ins", "outs", "said"), [
    (64, 256, "too small to gain (64 channels in"), (8, 8, "few channels (8 in"), (256, 320, "no multiples of 128"),
])
def test_channels(net, ins, outs, said):
    [found] = predict(quantized(net, ins, outs))
    assert found.verdict == "may"
    assert said in found.reason
    assert found.change


@pytest.mark.parametrize("kernel", [(1,), (1, 1)])
def test_a_kernel_of_one_weight(net, kernel):
    net.inputs = {"x": (TensorProto.FLOAT, [1, 256, *(8 for _ in kernel)])}
    [found] = predict(quantized(net, weight=net.two_four((256, 256, *kernel))))
    assert (found.verdict, found.change) == ("may", None)
    assert f"its kernel is {'x'.join(map(str, kernel))}" in found.reason


@pytest.mark.parametrize("kernel", [(1, 3), (3, 1)])
def test_a_kernel_of_one_row(net, kernel):
    [found] = predict(quantized(net, weight=net.two_four((256, 256, *kernel))))
    assert found.verdict == "will run sparse"


def test_float_output(net):
    layer = net.conv(net.pair("x", "in"), "layer", 256, 256)
    [found] = predict(net.model(net.op("Softmax", [layer], "y")))
    assert found.verdict == "may"
    assert "read by Softmax" in found.reason
    assert "Quantize its output" in found.change


def test_float_weights(net):
    weight = net.const("w", net.two_four((256, 256, 1, 1)))
    [found] = predict(net.model(net.op("Conv", ["x", weight], "layer")))
    assert found.verdict == "may"
    assert "16 bits only" in found.reason


@pytest.mark.parametrize(("weight", "attributes", "said"), [
    (np.ones((256, 256, 1, 1)), {}, "16384 of 16384 groups"),
    (np.ones((256, 3, 3, 3)), {}, "3 channels only"),
    (np.ones((256, 1, 3, 3)), {"group": 256}, "depthwise"),
    (np.ones((256, 30, 1, 1)), {}, "30 long"),
])
def test_what_rules_it_out(net, weight, attributes, said):
    [found] = predict(quantized(net, weight=weight, **attributes))
    assert found.verdict == "won't"
    assert said in found.reason
    assert found.change


def test_groups_of_whole_fours_may(net):
    [found] = predict(quantized(net, 256, 512, net.two_four((512, 128, 1, 1)), group=2))
    assert found.verdict == "may"
    assert "2 groups of 128 channels" in found.reason


def test_weights_that_are_computed(net):
    net.inputs["w"] = (1, [16, 16, 1, 1])
    [found] = predict(net.model(net.op("Conv", ["x", "w"], "layer")))
    assert (found.verdict, found.reason) == ("won't", "its weights are computed while the network runs")


def test_a_product_of_two_activations_is_no_layer(net):
    assert predict(net.model(net.op("MatMul", ["x", "x"], "y"))) == []


def test_layers_without_names_are_told_apart(net):
    model = net.model(net.sound())
    for node in model.graph:
        node.name = None
    assert [found.node for found in predict(model)] == ["net.1", "net.2"]


@pytest.mark.parametrize(("pair", "said"), [
    ({"codes": np.uint8, "zero": 128}, "QDQ002 at in: its codes are uint8 around 128"),
    ({"zero": 3}, "QDQ001 at in: its zero point is 3"), ({"scale": 0.0}, "QDQ011 at in"),
    ({"scale": np.full(256, 0.1, np.float32), "axis": 1}, "QDQ018 at in"),
])
def test_quantized_as_tensorrt_refuses(net, pair, said):
    layer = net.conv(net.pair("x", "in", **pair), "layer", 256, 256)
    [found] = predict(net.model(net.pair(layer, "out")))
    assert found.verdict == "won't"
    assert said in found.reason
    assert found.change


@pytest.mark.parametrize(("kind", "verdict", "said"), [
    (TensorProto.INT4, "won't", "QDQ007"), (TensorProto.FLOAT8E4M3FN, "may", "QDQ009"),
])
def test_codes_that_no_sparse_int8_kernel_multiplies(net, kind, verdict, said):
    net.stored.append(helper.make_tensor("codes", kind, (256, 256), net.two_four((256, 256), axis=0).reshape(-1)))
    scale = net.const("scale", np.float32(0.1))
    weight = net.op("DequantizeLinear", ["codes", scale], "weight")
    [found] = predict(net.model(net.pair(net.op("MatMul", [net.pair("x", "in"), weight], "layer"), "out")))
    assert found.verdict == verdict
    assert said in found.reason
