from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from twofour.common.errors import TwofourError
from twofour.export.graph.passes import count, graph_pass
from twofour.export.graph.values import replace_node


def drop_activation_pair(model: ir.Model) -> int:
    for node in [node for node in model.graph if str(node.name).startswith("conv.input_quantizer/")]:
        replace_node(node, node.inputs[0])
    return 1


@pytest.mark.parametrize("promise", ["kept", "added", "dequantize only", "removed"])
def test_a_pass_that_loses_a_quantizer_is_caught(conv_net: Any, promise: Any) -> None:
    with pytest.raises(TwofourError, match=r"'drop_activation_pair'.*QuantizeLinear went from 2 to 1"):
        graph_pass(quantizers=promise)(drop_activation_pair)(conv_net(np.ones(4)))


def test_dead_quantizers_don_t_count(graphs: Any) -> None:
    nodes, constants = graphs.pair("dead", "x", np.array(0.1, np.float32))
    model = graphs.build([*nodes, helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, constants)
    assert (count(model).quantize, count(model).dequantize) == (0, 0)


def test_quantizers_inside_a_branch_count(graphs: Any) -> None:
    nodes, constants = graphs.pair("q", "x", np.array(0.1, np.float32))
    branch = helper.make_graph(
        [helper.make_node("Relu", ["q"], ["r"])], "b", [], [helper.make_tensor_value_info("r", 1, [2])]
    )
    nodes.append(helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch))
    model = graphs.build(nodes, {"x": [2]}, constants | {"flag": np.array(True)})
    assert (count(model).quantize, count(model).dequantize) == (1, 1)
