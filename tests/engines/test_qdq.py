from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from twofour.engines.qdq import count, faults


def found(model):
    return faults(ir.from_proto(model))


def change(model, name, value):
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    stored.CopyFrom(numpy_helper.from_array(value, name))


def test_a_sound_graph(network):
    model = network.onnx()
    assert found(model) == []
    assert count(ir.from_proto(model)).model_dump() == {
        "quantize": 2, "dequantize": 4, "weights": 2, "activations": 2,
    }


@pytest.mark.parametrize(("value", "text"), [(0, "are zero"), (-1, "are negative"), (np.inf, "not finite")])
def test_scales_that_are_no_scales(network, value, text):
    model = network.onnx()
    scale = np.ones(96, np.float32)
    scale[:2] = value
    change(model, "fc1.weight_quantizer/scale", scale)
    [fault] = found(model)
    assert (fault.level, fault.node) == ("error", "fc1.weight_quantizer/DequantizeLinear")
    assert f"2 of its 96 scales {text}" in fault.text or f"2 of its 96 scales are {text}" in fault.text


def test_a_scale_that_is_computed(network):
    model = network.onnx()
    model.graph.node.insert(0, helper.make_node("ReduceMax", ["x"], ["computed"], keepdims=0))
    model.graph.node[1].input[1] = "computed"
    assert ["computed at run time" in fault.text for fault in found(model)] == [True]


def test_int8_that_is_not_symmetric(network):
    model = network.onnx(dtype=np.int8)
    change(model, "fc1.input_quantizer/zero_point", np.int8(3))
    assert {fault.node for fault in found(model)} == {
        "fc1.input_quantizer/QuantizeLinear", "fc1.input_quantizer/DequantizeLinear",
    }
    shifted = network.onnx()
    change(shifted, "fc1.input_quantizer/zero_point", np.uint8(128))
    assert found(shifted) == []


def test_codes_that_nobody_dequantizes(network):
    model = network.onnx()
    model.graph.node.append(helper.make_node(
        "QuantizeLinear", ["fc1", "fc1.input_quantizer/scale", "fc1.input_quantizer/zero_point"], ["left"], name="left"
    ))
    assert [(fault.node, fault.text) for fault in found(model)] == [
        ("left", "no DequantizeLinear reads its codes, but nothing")
    ]


def test_a_layer_of_which_only_one_side_is_quantized(network):
    model = network.onnx()
    gemm = next(node for node in model.graph.node if node.name == "fc1")
    gemm.input[0] = "x"
    texts = {fault.node: fault.text for fault in found(model)}
    assert texts["fc1"].startswith("its weight is quantized but not its input")
