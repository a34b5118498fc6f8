from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from twofour.export.graph.batchnorm import fold_batchnorm
from twofour.export.graph.int8_weights import weight_codes
from twofour.export.graph.passes import count


def codes(model: ir.Model) -> np.ndarray[Any, Any]:
    node = next(node for node in model.graph if node.name == "conv.weight_quantizer/QuantizeLinear")
    found = weight_codes(node)
    assert found is not None
    return found


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_codes_stay_and_answers_agree(conv_net: Any, graphs: Any, rng: Any, per_tensor: bool, bias: bool) -> None:
    gamma = np.array([1, 0.3, -2, 0, 1e-3, -1e-6, 50, 1], np.float32)
    model = conv_net(gamma, per_tensor=per_tensor, bias=bias)
    x = rng.normal(size=(3, 8, 6, 6)).astype(np.float32)
    before, expected, counts = codes(model), graphs.answer(model, x=x), count(model)
    assert fold_batchnorm(model) == 1
    assert "BatchNormalization" not in ops(model)
    signs = np.sign(gamma).astype(np.int8).reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(codes(model), before * signs)
    assert count(model) == counts
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_scale_is_positive_and_keeps_its_name(conv_net: Any) -> None:
    model = conv_net(np.array([0.0, -1, 1e-44, 2]))
    fold_batchnorm(model)
    scale = model.graph.initializers["conv.weight_quantizer/scale"].const_value.numpy()
    assert np.all(scale > 0)
    assert np.all(np.isfinite(scale))
    assert set(model.graph.initializers) == {
        "conv.weight", "conv.bias", "conv.input_quantizer/scale", "conv.input_quantizer/zero_point",
        "conv.weight_quantizer/scale", "conv.weight_quantizer/zero_point",
    }


def test_all_gammas_zero(conv_net: Any, graphs: Any, rng: Any) -> None:
    model = conv_net(np.zeros(4))
    x = rng.normal(size=(1, 8, 6, 6)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    fold_batchnorm(model)
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, atol=1e-6)


def test_a_float_conv_is_folded_too(conv_net: Any, graphs: Any, rng: Any) -> None:
    model = conv_net(np.array([1, -0.5, 0, 3]), quantized=False)
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_batchnorm(model) == 1
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4))
def test_codes_stay_for_any_gamma(gamma: list[float]) -> None:
    from twofour.export.graph.batchnorm import _new_scale
    from twofour.export.graph.quantizers import settle

    weight = np.random.default_rng(1).normal(size=(4, 64)).astype(np.float32)
    factor = np.array(gamma, np.float64)
    old = np.abs(weight).max(axis=1).astype(np.float32) / np.float32(127)
    before = np.rint(weight / old[:, None]) * np.sign(factor)[:, None]
    scale = _new_scale(old.astype(np.float64), factor)[:, None]
    after = settle((weight * factor[:, None]).astype(np.float32), before, scale)
    np.testing.assert_array_equal(np.rint(after / scale), before)


def test_gemm_with_either_layout(graphs: Any, rng: Any) -> None:
    for trans_b in (0, 1):
        weight = rng.normal(size=(6, 8) if trans_b else (8, 6)).astype(np.float32)
        axis = 0 if trans_b else 1
        nodes, constants = graphs.pair("fc.weight_quantizer", "fc.weight", graphs.scales(weight, axis), axis)
        nodes += [
            helper.make_node("Gemm", ["x", "fc.weight_quantizer"], ["g"], transB=trans_b),
            helper.make_node("BatchNormalization", ["g", "gamma", "beta", "mean", "var"], ["y"]),
        ]
        constants |= {"fc.weight": weight, "gamma": np.array([1, -1, 2, 0, 3, 1], np.float32)}
        constants |= {name: rng.uniform(0.5, 2, 6).astype(np.float32) for name in ("beta", "mean", "var")}
        model = graphs.build(nodes, {"x": ["batch", 8]}, constants)
        x = rng.normal(size=(5, 8)).astype(np.float32)
        expected = graphs.answer(model, x=x)
        assert fold_batchnorm(model) == 1
        np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "folds"), [((6,), 1), ((1, 6), 1), ((), 1), ((6, 6), 0), ((6, 1), 0)])
def test_a_gemm_that_adds_something_else_to_each_row(graphs: Any, rng: Any, shape: tuple[int, ...], folds: int) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "c"], ["g"]),
        helper.make_node("BatchNormalization", ["g", "gamma", "beta", "mean", "var"], ["y"]),
    ]
    constants = {name: rng.uniform(0.5, 2, 6).astype(np.float32) for name in ("gamma", "beta", "mean", "var")}
    constants |= {"w": rng.normal(size=(8, 6)).astype(np.float32), "c": np.float32(rng.normal(size=shape))}
    model = graphs.build(nodes, {"x": [6, 8]}, constants)
    x = rng.normal(size=(6, 8)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_batchnorm(model) == folds
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("gamma", "folds"), [(1.0, 1), (-1.0, 0)])
def test_the_lowest_code_has_no_opposite(conv_net: Any, graphs: Any, rng: Any, gamma: float, folds: int) -> None:
    model = conv_net(np.full(4, gamma))
    weight, scale = (model.graph.initializers[f"conv.weight{name}"] for name in ("", "_quantizer/scale"))
    values = weight.const_value.numpy().copy()
    values[0, 0, 0, 0] = -128 * scale.const_value.numpy()[0]
    weight.const_value = ir.tensor(values, name=weight.name)
    x = rng.normal(size=(1, 8, 6, 6)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_batchnorm(model) == folds
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("groups", "axis", "quantized", "folds"), [
    (1, 1, True, 1), (1, None, True, 0), (1, 0, True, 0), (2, None, True, 0), (2, None, False, 1), (1, None, False, 1),
])
def test_conv_transpose(graphs: Any, rng: Any, groups: int, axis: int | None, quantized: bool, folds: int) -> None:
    weight = rng.normal(size=(8, 6 // groups, 2, 2)).astype(np.float32)
    scale = np.float32(np.abs(weight).max() / 127).reshape(()) if axis is None else graphs.scales(weight, axis)
    nodes, constants = graphs.pair("up.weight_quantizer", "up.weight", scale, axis)
    if not quantized:
        nodes, constants = [], {}
    nodes += [
        helper.make_node(
            "ConvTranspose", ["x", "up.weight_quantizer" if quantized else "up.weight"], ["g"],
            group=groups, strides=[2, 2],
        ),
        helper.make_node("BatchNormalization", ["g", "gamma", "beta", "mean", "var"], ["y"]),
    ]
    constants |= {"up.weight": weight, "gamma": np.array([1, -1, 2, 0, 3, 1], np.float32)}
    constants |= {name: rng.uniform(0.5, 2, 6).astype(np.float32) for name in ("beta", "mean", "var")}
    model = graphs.build(nodes, {"x": ["batch", 8, 3, 3]}, constants)
    x = rng.normal(size=(2, 8, 3, 3)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    assert fold_batchnorm(model) == folds
    np.testing.assert_allclose(graphs.answer(model, x=x), expected, rtol=1e-5, atol=1e-5)


def test_a_conv_that_others_read_is_left(conv_net: Any) -> None:
    model = conv_net(np.ones(4))
    conv = next(node for node in model.graph if node.op_type == "Conv")
    model.graph.outputs.append(conv.outputs[0])
    assert fold_batchnorm(model) == 0


def test_epsilon_is_that_of_the_file_before_it_is_written(conv_net: Any) -> None:
    found, proto = [], ir.to_proto(conv_net(np.linspace(0.1, 3, 64, dtype=np.float32)))
    for epsilon in (0.1, float(np.float32(0.1))):
        model = ir.from_proto(proto)
        norm = next(node for node in model.graph if node.op_type == "BatchNormalization")
        norm.attributes["epsilon"] = ir.AttrFloat32("epsilon", epsilon)
        fold_batchnorm(model)
        names = ("conv.bias", "conv.weight", "conv.weight_quantizer/scale")
        found.append({name: model.graph.initializers[name].const_value.numpy() for name in names})
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name])
