from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from twofour.engines.segments import boundaries, cut, with_codes

NAMES = ["fc1.input_quantizer", "fc2.input_quantizer"]


def limited(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same graph as the CPU engine rewrites it: codes limited by a Clip between Q and DQ."""
    for index, node in enumerate(model.graph.node):
        if node.op_type == "QuantizeLinear" and node.output[0] == f"{name}/codes":
            node.output[0] = f"{name}/codes_unlimited"
            clip = helper.make_node("Clip", [f"{name}/codes_unlimited", "", f"{name}/limit"], [f"{name}/codes"])
            model.graph.node.insert(index + 1, clip)
            break
    model.graph.initializer.append(numpy_helper.from_array(np.uint8(127), f"{name}/limit"))
    return model


@pytest.fixture
def graph(network):
    return limited(network.onnx(), "fc2.input_quantizer")


def test_the_boundaries_in_the_order_of_the_graph(network, graph):
    for model in (network.onnx(), graph):
        found = boundaries(model, [*NAMES[::-1], "not there"])
        assert [one.name for one in found] == NAMES
        assert [one.codes for one in found] == [f"{name}/codes" for name in NAMES]
        assert [one.scale for one in found] == pytest.approx(network.scales)
    assert found[1].steps == ("fc2.input_quantizer/codes_unlimited", "fc2.input_quantizer/codes")


def test_what_is_no_whole_tensor_pair_with_constants_is_left_out(network):
    model = network.onnx()
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == NAMES[0] + "/scale")
    stored.CopyFrom(numpy_helper.from_array(np.ones(64, np.float32), NAMES[0] + "/scale"))
    assert [one.name for one in boundaries(model, NAMES)] == NAMES[1:]


def test_a_cut_graph_is_valid_and_its_pieces_are_independent(graph, tmp_path):
    cuts = boundaries(graph, NAMES)
    pieces = cut(graph, cuts)
    onnx.save(pieces, str(tmp_path / "pieces.onnx"))
    reached: dict[str, set[str]] = {value.name: {value.name} for value in pieces.graph.input}
    for node in pieces.graph.node:
        sources = set().union(*(reached.get(name, set()) for name in node.input))
        reached |= dict.fromkeys(node.output, sources)
    assert reached[cuts[0].computed] == {"x"}
    assert reached[cuts[1].computed] == {cuts[0].fed}
    assert reached["logits"] == {cuts[1].fed}
    assert [value.name for value in graph.graph.input] == ["x"], "the original is left as it was"


def test_codes_become_outputs_once(graph):
    cuts = boundaries(graph, NAMES)
    names = [value.name for value in with_codes(graph, [*cuts, *cuts]).graph.output]
    assert names == ["logits", *(one.codes for one in cuts)]
