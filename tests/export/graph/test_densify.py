from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from twofour.export.graph.densify import fill_zeros
from twofour.export.graph.int8_weights import store_int8_weights
from twofour.export.graph.passes import count
from twofour.export.graph.two_four import check


@pytest.fixture
def net(graphs: Any, rng: Any) -> Any:
    """x -> Conv (2:4) -> Conv (dense) -> y, the weights with Q/DQ, as integers, or as floats."""

    def make(form: str, per_tensor: bool = False) -> ir.Model:
        nodes, constants, source = [], {}, "x"
        for name, sparse in (("first", True), ("y", False)):
            weight = rng.normal(size=(8, 8, 3, 3)).astype(np.float32)
            if sparse:
                weight[:, ::2] = 0
                weight[:, 1, 0, 0] = 0
            constants[f"{name}.weight"] = weight
            operand = f"{name}.weight"
            if form != "float":
                scale = graphs.scales(weight, 0)
                more, others = graphs.pair(f"{name}.weight_quantizer", operand, scale.max() if per_tensor else scale,
                                           None if per_tensor else 0)
                nodes, constants, operand = nodes + more, constants | others, f"{name}.weight_quantizer"
            nodes.append(helper.make_node("Conv", [source, operand], [name], name, pads=[1, 1, 1, 1]))
            source = name
        model = graphs.build(nodes, {"x": ["n", 8, 6, 6]}, constants)
        if form == "int8":
            store_int8_weights(model)
        return model

    return make


def weights(model: ir.Model) -> dict[str, Any]:
    return {name: value.const_value.numpy().copy() for name, value in model.graph.initializers.items()}


@pytest.mark.parametrize("form", ["qdq", "int8", "float"])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_no_pattern_is_left(net: Any, graphs: Any, rng: Any, form: str, per_tensor: bool) -> None:
    model = net(form, per_tensor)
    before, table, quantizers = weights(model), check(model), count(model)
    assert [row.two_four for row in table] == [True, False]
    assert fill_zeros(model) == 1
    after = weights(model)
    assert before.keys() == after.keys()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert len(changed) == 1
    old, new = before[changed[0]], after[changed[0]]
    assert (old.dtype, old.shape) == (new.dtype, new.shape)
    first, second = check(model)
    assert (first.two_four, first.zeros, first.violations) == (False, 0, first.groups)
    assert second == table[1]
    assert count(model) == quantizers
    assert 0.5 < np.std(new.astype(float)) / np.std(old[old != 0].astype(float)) < 1.5
    assert np.isfinite(graphs.answer(model, x=rng.normal(size=(1, 8, 6, 6)).astype(np.float32))).all()


def test_codes_that_were_there_stay(net: Any) -> None:
    model = net("int8")
    before = weights(model)["first.weight_quantizer/codes"]
    fill_zeros(model)
    after = weights(model)["first.weight_quantizer/codes"]
    np.testing.assert_array_equal(after[before != 0], before[before != 0])


def test_the_seed_decides(net: Any) -> None:
    def filled(**seed: int) -> Any:
        model = ir.from_proto(proto)
        fill_zeros(model, **seed)
        return weights(model)["first.weight"]

    proto = ir.to_proto(net("qdq"))
    np.testing.assert_array_equal(filled(), filled(seed=24))
    assert not np.array_equal(filled(), filled(seed=25))


@pytest.mark.parametrize("zero", [0, 128])
def test_unsigned_codes_have_their_own_zero(graphs: Any, zero: int) -> None:
    codes = np.full((16, 4), zero, np.uint8)
    codes[::2] = np.arange(1, 33, dtype=np.uint8).reshape(8, 4)
    constants = {"w": codes, "s": np.array(0.1, np.float32), "z": np.array(zero, np.uint8)}
    nodes = [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], "dq"),
             helper.make_node("MatMul", ["x", "d"], ["y"], "layer")]
    model = graphs.build(nodes, {"x": [1, 16]}, constants)
    assert fill_zeros(model) == 1
    assert check(model)[0].zeros == 0


def test_all_zeros_become_something(graphs: Any) -> None:
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], "layer", transB=1)
    model = graphs.build([gemm], {"x": [1, 8]}, {"w": np.zeros((4, 8), np.float32)})
    assert fill_zeros(model) == 1
    assert check(model)[0].zeros == 0
    assert fill_zeros(model) == 0
