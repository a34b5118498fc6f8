from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from twofour.common.errors import TwofourError
from twofour.export.graph.quantizers import DOMAIN, MARKER, Quantizer, insert_quantizers, pin


def fake_quant(weight: Any, amax: Any) -> Any:
    """PyTorch's codes, as ModelOpt computes them."""
    return np.clip(np.rint(weight * (np.float32(127) / amax)), -127, 127)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e4), st.floats(0.3, 3))
def test_a_pinned_weight_has_pytorch_s_codes(seed: int, size: float, share: float) -> None:
    weight = (np.random.default_rng(seed).normal(size=(4, 257)) * size).astype(np.float32)
    weight[0, :127] = (np.arange(127) + 0.5) * np.float32(size / 127)  # ties, where the two roundings part
    amax = (np.abs(weight).max(axis=1) * share).astype(np.float32)
    pinned, scale = pin(weight, Quantizer(amax, 0, False))
    np.testing.assert_array_equal(np.rint(pinned / scale[:, None]), fake_quant(weight, amax[:, None]))
    np.testing.assert_allclose(pinned, np.clip(weight, -amax[:, None], amax[:, None]), atol=float(scale.max()))


def test_a_dead_channel_gets_zeros_and_a_usual_scale() -> None:
    weight = np.array([[1, -1], [1e-9, 0], [3, 3]], np.float32)
    pinned, scale = pin(weight, Quantizer(np.array([1, 0, 3], np.float32), 0, False))
    assert not pinned[1].any()
    np.testing.assert_allclose(scale, np.array([1, 2, 3]) / 127, rtol=1e-6)
    assert pin(np.zeros((2, 2), np.float32), Quantizer(np.zeros(2, np.float32), 0, False))[1].min() > 0


def marked(names: list[str]) -> ir.Model:
    """x through one marker after the other."""
    nodes = [
        helper.make_node(MARKER, ["x" if not index else f"v{index}"], [f"v{index + 1}"], domain=DOMAIN, name=name)
        for index, name in enumerate(names)
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, [2])],
        [helper.make_tensor_value_info(f"v{len(names)}", 1, [2])],
    )
    model = ir.from_proto(helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)], ir_version=10
    ))
    for node in model.graph:
        node.attributes["name"] = ir.AttrString("name", str(node.name))
    return model


def test_names_of_the_pair_and_of_a_second_use(graphs: Any) -> None:
    model = marked(["a.input_quantizer", "a.input_quantizer"])
    assert insert_quantizers({"a.input_quantizer": Quantizer(np.array(12.7, np.float32), None, False)})(model) == 2
    first, second = "a.input_quantizer", "a.input_quantizer#1"
    assert [node.name for node in model.graph] == [
        f"{name}/{op}" for name in (first, second) for op in ("QuantizeLinear", "DequantizeLinear")
    ]
    assert [node.outputs[0].name for node in model.graph][:3] == [f"{first}/codes", first, f"{second}/codes"]
    assert DOMAIN not in model.opset_imports
    np.testing.assert_allclose(graphs.answer(model, x=np.array([0.12, -99], np.float32)), [0.1, -12.8], rtol=1e-6)


def test_a_narrow_activation_saturates_at_127(graphs: Any) -> None:
    model = marked(["q"])
    insert_quantizers({"q": Quantizer(np.array(12.7, np.float32), None, True)})(model)
    np.testing.assert_allclose(graphs.answer(model, x=np.array([99, -99], np.float32)), [12.7, -12.7], rtol=1e-6)


def test_a_silent_activation_stays_silent(graphs: Any) -> None:
    model = marked(["q"])
    insert_quantizers({"q": Quantizer(np.array(0, np.float32), None, False)})(model)
    np.testing.assert_allclose(graphs.answer(model, x=np.array([5, -5], np.float32)), [0, 0], atol=1e-6)


def test_an_unknown_marker_is_a_bug_that_is_named() -> None:
    with pytest.raises(TwofourError, match="'lost'"):
        insert_quantizers({})(marked(["lost"]))
