from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from twofour.export.graph.int8_weights import store_int8_weights
from twofour.export.graph.two_four import check, count_groups


def brute_force(mask: np.ndarray[Any, Any], axis: int, parts: int) -> tuple[int, int]:
    groups = violations = 0
    moved = np.moveaxis(mask, axis, -1)
    for index in product(*map(range, moved.shape[:-1])):
        for part in np.split(moved[index], parts):
            for start in range(0, len(part), 4):
                groups += 1
                violations += int(part[start : start + 4].sum()) > 2
    return groups, violations


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_count_groups_is_brute_force(data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, 3))
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    axis = data.draw(st.integers(0, len(shape) - 1))
    shape[axis] = parts * data.draw(st.integers(1, 9))
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(shape) < data.draw(st.floats(0, 1))
    assert count_groups(mask, axis, parts) == brute_force(mask, axis, parts)


def prune(weight: np.ndarray[Any, Any], axis: int) -> np.ndarray[Any, Any]:
    """2:4 along `axis`."""
    moved = np.moveaxis(weight.copy(), axis, -1)
    groups = moved.reshape(*moved.shape[:-1], -1, 4)
    np.put_along_axis(groups, np.argsort(np.abs(groups), axis=-1)[..., :2], 0, axis=-1)
    return np.moveaxis(groups.reshape(moved.shape), -1, axis).astype(np.float32)


CASES = [
    ("Conv", (8, 16, 3, 3), 1, {}, "x", [1, 16, 5, 5]),
    ("Conv", (8, 8, 3, 3), 1, {"group": 2}, "x", [1, 16, 5, 5]),
    ("ConvTranspose", (16, 4, 2, 2), 0, {}, "x", [1, 16, 5, 5]),
    ("ConvTranspose", (16, 4, 2, 2), 0, {"group": 2}, "x", [1, 16, 5, 5]),
    ("Gemm", (16, 6), 0, {}, "x", [2, 16]),
    ("Gemm", (6, 16), 1, {"transB": 1}, "x", [2, 16]),
    ("Gemm", (6, 16), 1, {}, "w", [16, 3]),
    ("Gemm", (16, 6), 0, {"transA": 1}, "w", [16, 3]),
    ("MatMul", (16, 6), 0, {}, "x", [2, 3, 16]),
    ("MatMul", (2, 16, 6), 1, {}, "x", [2, 3, 16]),
    ("MatMul", (6, 16), 1, {}, "w", [16, 3]),
]


@pytest.mark.parametrize(("op", "shape", "axis", "attributes", "first", "x"), CASES)
@pytest.mark.parametrize("form", ["float", "qdq", "int8", "transposed", "reshaped"])
def test_every_operator_and_form(
    graphs: Any, rng: Any, op: str, shape: tuple[int, ...], axis: int, attributes: dict[str, int], first: str,
    x: list[int], form: str,
) -> None:
    for good in (True, False):
        weight = prune(rng.normal(size=shape), axis)
        if not good:
            index = [0] * len(shape)
            index[axis] = slice(0, 4)
            weight[tuple(index)] = [1, 1, 1, 0]
        nodes, constants, name = _form(graphs, weight, form)
        operands = ["x", name] if first == "x" else [name, "x"]
        nodes.append(helper.make_node(op, operands, ["y"], "layer", **attributes))
        model = graphs.build(nodes, {"x": x}, constants)
        if form == "int8":
            assert store_int8_weights(model) == 1
        found, = check(model)
        assert (found.name, found.op, found.shape, found.axis) == ("layer", op, shape, axis)
        assert found.two_four is good
        assert found.violations == (0 if good else 1)
        assert found.groups == weight.size // 4
        assert found.quantized is (form != "float")
        assert found.zeros == pytest.approx(0.5, abs=0.02)


def _form(graphs: Any, weight: Any, form: str) -> tuple[list[Any], dict[str, Any], str]:
    if form == "float":
        return [], {"w": weight}, "w"
    scale = np.float32(np.abs(weight).max() / 127).reshape(())
    perm = list(range(weight.ndim))[::-1]
    stored = {"transposed": weight.transpose(perm).copy(), "reshaped": weight.reshape(-1)}.get(form, weight)
    nodes, constants = graphs.pair("w_q", "w", scale)
    constants["w"] = stored
    name = "w_q"
    if form == "transposed":
        nodes.append(helper.make_node("Transpose", [name], ["w_t"], perm=list(np.argsort(perm))))
        name = "w_t"
    if form == "reshaped":
        constants["shape"] = np.array(weight.shape, np.int64)
        nodes.append(helper.make_node("Reshape", [name, "shape"], ["w_r"]))
        name = "w_r"
    return nodes, constants, name


def test_codes_are_judged_and_not_floats(graphs: Any) -> None:
    weight = np.tile(np.array([1, 1, 0.001, 0], np.float32), (8, 4))
    nodes, constants = graphs.pair("w_q", "w", np.array(1 / 127, np.float32))
    nodes.append(helper.make_node("Gemm", ["x", "w_q"], ["y"], "layer", transB=1))
    quantized = graphs.build(nodes, {"x": [1, 16]}, constants | {"w": weight})
    assert check(quantized)[0].two_four  # 0.001 is code 0
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], "layer", transB=1)
    plain = graphs.build([gemm], {"x": [1, 16]}, {"w": weight})
    assert not check(plain)[0].two_four


def test_a_zero_point_is_the_code_of_zero(graphs: Any) -> None:
    codes = np.full((16, 4), 128, np.uint8)
    codes[::4] = 7
    constants = {"w": codes, "s": np.array(0.1, np.float32), "z": np.array(128, np.uint8)}
    nodes = [
        helper.make_node("Identity", ["w"], ["same"]),
        helper.make_node("DequantizeLinear", ["same", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["x", "d"], ["y"], "layer"),
    ]
    found, = check(graphs.build(nodes, {"x": [1, 16]}, constants))
    assert found.two_four
    assert found.zeros == 0.75


def test_an_axis_that_does_not_divide_is_said(graphs: Any) -> None:
    weight = np.zeros((4, 3, 3, 3), np.float32)
    model = graphs.build([helper.make_node("Conv", ["x", "w"], ["y"], "stem")], {"x": [1, 3, 5, 5]}, {"w": weight})
    found, = check(model)
    assert not found.two_four
    assert "3 long" in found.reason


def test_products_of_activations_are_no_layers(graphs: Any) -> None:
    model = graphs.build([helper.make_node("MatMul", ["x", "x"], ["y"], "attention")], {"x": [4, 4]}, {})
    assert check(model) == []
