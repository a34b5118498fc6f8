"""Graphs deeper and more entangled than any network: words or a result, in bounded time."""

from __future__ import annotations

import time

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from twofour.common.errors import UserError
from twofour.export.foreign.bounds import bounds
from twofour.export.foreign.convert import convert
from twofour.export.graph.lint import lint, predict
from twofour.export.graph.two_four import check

DEPTH = 20_000


def network(nodes, last, kind=np.int8):
    """A quantized MatMul behind `nodes`, the last of which makes `last`."""
    pair = [helper.make_node("QuantizeLinear", [last, "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["wd"]),
            helper.make_node("MatMul", ["d", "wd"], ["y"], name="layer")]
    constants = {"s": np.float32(0.1), "z": kind(0), "wz": np.int8(0), "w": np.eye(4, dtype=np.int8)}
    graph = helper.make_graph(
        [*nodes, *pair], "deep", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def chain(op, depth=DEPTH):
    return [helper.make_node(op, [f"v{index - 1}" if index else "x"], [f"v{index}"]) for index in range(depth)]


@pytest.mark.slow
@pytest.mark.parametrize("op", ["Relu", "Sin", "Transpose"])
def test_twenty_thousand_nodes_in_a_row(op):
    model = network(chain(op), f"v{DEPTH - 1}")
    start = time.process_time()
    assert isinstance(lint(model), list)
    assert [found.node for found in predict(model)] == ["layer"]
    assert [found.name for found in check(model)] == ["layer"]
    assert convert(model, "file").exact
    assert time.process_time() - start < 60  # ten; no step of it is quadratic, or goes as deep as the graph


def test_uint8_codes_behind_a_longer_chain_than_is_followed_are_refused_in_words():
    nodes = chain("Relu", 1_000)
    nodes.insert(0, helper.make_node("Sigmoid", ["x"], ["start"]))
    nodes[1].input[0] = "start"
    with pytest.raises(UserError, match="asymmetric activations"):
        convert(network(nodes, "v999", np.uint8), "file")


def test_bounds_take_each_tensor_once_however_many_paths_lead_to_it():
    nodes = [helper.make_node("Sigmoid", ["x"], ["c0"])]
    nodes += [helper.make_node("Concat", [f"c{index}"] * 2, [f"c{index + 1}"], axis=0) for index in range(60)]
    model = network(nodes, "c60", np.uint8)
    start = time.process_time()
    assert bounds(next(node for node in model.graph if node.op_type == "QuantizeLinear").inputs[0]) == (0, 1)
    assert time.process_time() - start < 1
