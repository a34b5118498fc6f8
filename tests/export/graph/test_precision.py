from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from twofour.common.agreement import snr_db
from twofour.common.errors import TwofourError, UserError
from twofour.export.graph import precision
from twofour.export.graph.int8_weights import store_int8_weights, weight_codes
from twofour.export.graph.passes import count
from twofour.export.graph.precision import Typing, type_rest
from twofour.export.graph.two_four import check
from twofour.export.graph.values import is_op


def types(model: ir.Model) -> dict[str, str]:
    """Short type of every float value, by name."""
    short = {ir.DataType.FLOAT: "fp32", ir.DataType.FLOAT16: "fp16", ir.DataType.BFLOAT16: "bf16"}
    values = [value for node in model.graph for value in node.outputs] + list(model.graph.initializers.values())
    return {str(value.name): short[value.dtype] for value in values if value.dtype in short}


def reasons(typing: Typing) -> dict[str, str]:
    return {island.node: island.reason for island in typing.islands}


def casts(model: ir.Model) -> list[str]:
    return [str(node.inputs[0].name) for node in model.graph if is_op(node, "Cast")]


def layer(graphs: Any, rng: Any, name: str, source: str, shape: tuple[int, int], scale: float = 0.02) -> Any:
    """source -> Q/DQ -> MatMul with a quantized 2:4 weight of `shape` -> name."""
    weight = rng.normal(size=shape).astype(np.float32)
    weight[::4] = weight[1::4] = 0
    nodes, constants = graphs.pair(f"{name}.input_quantizer", source, np.array(scale, np.float32))
    more, others = graphs.pair(f"{name}.weight_quantizer", f"{name}.weight", graphs.scales(weight, 1), 1)
    nodes += [*more, helper.make_node("MatMul", [f"{name}.input_quantizer", f"{name}.weight_quantizer"], [name], name)]
    return nodes, {**constants, **others, f"{name}.weight": weight}


@pytest.fixture
def chain(graphs: Any, rng: Any) -> Any:
    """x -> layer a -> bias -> Relu -> layer b -> Softmax -> layer c -> y; b's answer goes on in floats."""

    def make(a: float = 0.02, b: float = 0.05, opset: int = 21) -> ir.Model:
        first, constants = layer(graphs, rng, "a", "x", (16, 8), a)
        second, more = layer(graphs, rng, "b", "relu", (8, 8), b)
        third, most = layer(graphs, rng, "y", "soft", (8, 4), 1 / 127)
        bias = helper.make_node("Add", ["a", "a.bias"], ["a_biased"], "bias")
        relu = helper.make_node("Relu", ["a_biased"], ["relu"], "relu")
        soft = helper.make_node("Softmax", ["b"], ["soft"], "soft")
        constants |= more | most | {"a.bias": rng.normal(size=8).astype(np.float32)}
        return graphs.build([*first, bias, relu, *second, soft, *third], {"x": ["n", 16]}, constants, opset=opset)

    return make


def codes(model: ir.Model) -> list[Any]:
    quantizers = [node for node in model.graph if is_op(node, "QuantizeLinear")]
    return [found for node in quantizers if (found := weight_codes(node)) is not None]


def test_fp32_changes_nothing(chain: Any) -> None:
    model = chain()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    assert type_rest(model, "fp32", {}) == Typing("fp32", [], 0)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(("rest", "least"), [("fp16", 35), ("bf16", 25)])
def test_the_rest_is_typed_and_answers_stay(chain: Any, graphs: Any, rng: Any, rest: Any, least: int) -> None:
    model = chain()
    x = rng.normal(size=(64, 16)).astype(np.float32)
    expected, table, weights = graphs.answer(model, x=x), check(model), codes(model)
    names, quantizers = [node.name for node in model.graph], count(model)
    typing = type_rest(model, rest, {})
    assert (typing.rest, typing.islands) == (rest, [])
    assert typing.casts == len(casts(model)) > 0
    assert [node.name for node in model.graph if node.name in names] == names
    assert count(model) == quantizers
    assert check(model) == table
    assert sum(row.two_four for row in table) == 3
    for old, new in zip(weights, codes(model), strict=True):
        np.testing.assert_array_equal(old, new)
    answer = graphs.typed_answer(model, x=x)
    assert answer.dtype == np.float32
    assert snr_db(expected, answer) > least
    assert types(model)["soft"] == rest


def test_fp16_casts_only_the_output(chain: Any) -> None:
    model = chain()
    assert type_rest(model, "fp16", {}).casts == 1
    assert [value.name for value in model.graph.outputs] == ["y"]
    found = types(model)
    assert (found["y/fp16"], found["y"]) == ("fp16", "fp32")
    assert found["a.input_quantizer"] == found["a.weight_quantizer/scale"] == found["relu"] == "fp16"
    q, = [node for node in model.graph if node.name == "a.input_quantizer/QuantizeLinear"]
    assert q.inputs[1].dtype == ir.DataType.FLOAT  # x is FP32 anyway


def test_bf16_leaves_quantized_layers_alone(chain: Any) -> None:
    model = chain()
    type_rest(model, "bf16", {})
    found = types(model)
    assert {found[name] for name in ("a", "a_biased", "relu", "b", "b.weight_quantizer/scale", "a.bias")} == {"fp32"}
    assert casts(model) == ["b", "soft"]
    model = chain()
    assert type_rest(model, "bf16", {}, scales="rest").casts == 1
    assert types(model)["b.weight_quantizer/scale"] == "bf16"


def test_fp32_scales_are_open_to_fp16(chain: Any) -> None:
    model = chain()
    type_rest(model, "fp16", {}, scales="fp32")
    assert types(model)["relu"] == "fp32"
    assert types(model)["soft"] == "fp16"


@pytest.mark.parametrize("scale", [5e-5, 7e4])
def test_a_scale_out_of_range_keeps_its_layers_whole(chain: Any, graphs: Any, rng: Any, scale: float) -> None:
    model = chain(b=scale)
    typing = type_rest(model, "fp16", {})
    found = types(model)
    told = reasons(typing)
    assert "its scale of" in told["b.input_quantizer/DequantizeLinear"]
    assert set(told) >= {"b", "a", "relu", "bias"}  # the layer before ends in the Q, in one kernel
    assert "one kernel" in told["relu"]
    kept = ("a.input_quantizer", "a.weight_quantizer", "a", "relu", "b.weight_quantizer", "b")
    assert {found[name] for name in kept} == {"fp32"}
    assert found["soft"] == "fp16"
    assert casts(model) == ["b", "y/fp16"]
    x = rng.normal(size=(8, 16)).astype(np.float32)
    assert graphs.typed_answer(model, x=x).shape == (8, 4)


def test_a_tensor_near_the_end_of_the_range(chain: Any, graphs: Any, rng: Any) -> None:
    model = chain()
    typing = type_rest(model, "fp16", {"b": 30000.0, "relu": 10.0})
    told = reasons(typing)
    assert "'b' reaches 3e+04" in told["soft"]
    assert types(model)["b"] == types(model)["soft"] == "fp32"
    assert types(model)["relu"] == "fp16"
    graphs.typed_answer(model, x=rng.normal(size=(8, 16)).astype(np.float32))
    assert not type_rest(chain(), "bf16", {"b": 30000.0}).islands
    assert not type_rest(chain(), "fp16", {"b": 16000.0}).islands
    assert type_rest(chain(), "fp16", {"b": float("inf")}).islands
    assert "loses bits" in reasons(type_rest(chain(), "fp16", {"b": 1e-6}))["soft"]


def test_stored_codes_stay_as_they_are(chain: Any, graphs: Any, rng: Any) -> None:
    model = chain()
    store_int8_weights(model)
    stored = {name: value.const_value.numpy().copy() for name, value in model.graph.initializers.items()
              if name.endswith("weight_quantizer/codes")}
    type_rest(model, "fp16", {})
    assert len(stored) == 3
    for name, array in stored.items():
        np.testing.assert_array_equal(model.graph.initializers[name].const_value.numpy(), array)
    graphs.typed_answer(model, x=rng.normal(size=(8, 16)).astype(np.float32))


@pytest.mark.parametrize("opset", [13, 18])
def test_an_old_opset_is_converted(chain: Any, graphs: Any, rng: Any, opset: int) -> None:
    model = chain(opset=opset)
    x = rng.normal(size=(64, 16)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    type_rest(model, "fp16", {})
    assert model.opset_imports[""] == 21
    assert snr_db(expected, graphs.typed_answer(model, x=x)) > 35
    assert "a.weight_quantizer/QuantizeLinear" in [node.name for node in model.graph]


def test_an_old_and_large_model_is_refused(chain: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(precision, "_CONVERTIBLE_BYTES", 10)
    with pytest.raises(UserError, match="opset to 21"):
        type_rest(chain(opset=17), "fp16", {})
    type_rest(chain(), "fp16", {})


def test_a_weight_that_would_change_is_an_error(chain: Any, monkeypatch: Any) -> None:
    real = precision.retype

    def harm(model: ir.Model, *rest: Any) -> int:
        model.graph.initializers["b.weight"].const_value = ir.tensor(np.ones((8, 8), np.float32))
        return real(model, *rest)

    monkeypatch.setattr(precision, "retype", harm)
    with pytest.raises(TwofourError, match=r"b: .*changed the weight"):
        type_rest(chain(), "fp16", {})


def test_weights_of_an_island_stay_on_disk(chain: Any, tmp_path: Any) -> None:
    ir.save(chain(b=1e-6), tmp_path / "m.onnx", external_data="m.data", size_threshold_bytes=0)
    model = ir.load(tmp_path / "m.onnx")
    type_rest(model, "fp16", {})
    assert isinstance(model.graph.initializers["b.weight"].const_value, ir.ExternalTensor)
    assert model.graph.initializers["y.weight"].const_value.dtype == ir.DataType.FLOAT16


def floats(graphs: Any, nodes: list[Any], constants: Any = None, x: Any = ("n", 8), outputs: Any = ("y",)) -> ir.Model:
    return graphs.build(nodes, {"x": list(x)}, constants or {}, outputs)


node = helper.make_node


def test_a_constant_beyond_the_range(graphs: Any) -> None:
    mask = np.array([0, -3.4e38] * 4, np.float32)
    model = floats(graphs, [node("Mul", ["x", "two"], ["m"], "mul"), node("Add", ["m", "mask"], ["s"], "add"),
                            node("Softmax", ["s"], ["p"], "soft"), node("Mul", ["p", "two"], ["y"], "last")],
                   {"two": np.array(2, np.float32), "mask": mask})
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    expected = graphs.answer(model, x=x)
    told = reasons(type_rest(model, "fp16", {}))
    assert "'mask' holds numbers beyond 65504" in told["add"]
    assert "'s' holds numbers beyond" in told["soft"]
    assert set(told) == {"add", "soft"}
    np.testing.assert_allclose(graphs.typed_answer(model, x=x), expected, rtol=2e-3, atol=1e-3)


def test_infinity_and_bounds_of_a_clip_fit(graphs: Any) -> None:
    model = floats(graphs, [node("Clip", ["x", "zero", "far"], ["c"], "clip"), node("Add", ["c", "low"], ["y"], "add")],
                   {"zero": np.array(0, np.float32), "far": np.array(3.4e38, np.float32),
                    "low": np.array([0, -np.inf] * 4, np.float32)})
    assert type_rest(model, "fp16", {}).islands == []
    assert model.graph.initializers["far/fp16"].const_value.numpy() == np.float16(65504)
    np.testing.assert_array_equal(graphs.typed_answer(model, x=np.ones((1, 8), np.float32))[0, :2], [1, -np.inf])


def test_what_underflow_takes(graphs: Any) -> None:
    model = floats(graphs, [node("Add", ["x", "epsilon"], ["e"], "add"), node("Div", ["e", "by"], ["y"], "div")],
                   {"epsilon": np.array(1e-12, np.float32), "by": np.array([1e-9] + [1] * 7, np.float32)})
    told = reasons(type_rest(model, "fp16", {}))
    assert "'epsilon' would lose 100%" in told["add"]
    assert "a divisor, would become zero" in told["div"]
    fine = floats(graphs, [node("Add", ["x", "b"], ["y"])], {"b": np.array([1e-12] + [1] * 7, np.float32)})
    assert type_rest(fine, "fp16", {}).islands == []


def test_a_constant_shared_with_an_island_is_copied(graphs: Any) -> None:
    model = floats(graphs, [node("Mul", ["x", "c"], ["big"], "first"), node("Sub", ["big", "x"], ["small"], "second"),
                            node("Add", ["small", "c"], ["y"], "third")], {"c": np.full(8, 3, np.float32)})
    assert set(reasons(type_rest(model, "fp16", {"big": 60000.0}))) == {"first", "second"}
    found = types(model)
    assert (found["c"], found["c/fp16"]) == ("fp32", "fp16")
    x = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    np.testing.assert_allclose(graphs.typed_answer(model, x=x), 2 * x + 3, rtol=1e-2)


def test_sums_inside_an_operator(graphs: Any) -> None:
    def told(op: str, magnitude: float | None, shape: Any = ("n", 8, 100, 100), **attributes: Any) -> dict[str, str]:
        model = floats(graphs, [node(op, ["x"], ["y"], "sum", **attributes)], x=shape)
        return reasons(type_rest(model, "fp16", {} if magnitude is None else {"x": magnitude}))

    assert "10000 terms may reach 2e+04" in told("GlobalAveragePool", 2)["sum"]
    assert not told("GlobalAveragePool", 1)
    assert "was not measured" in told("GlobalAveragePool", None)["sum"]
    assert "unknown number" in told("GlobalAveragePool", 1, ("n", 8, "h", "w"))["sum"]
    assert not told("AveragePool", 100, kernel_shape=[3, 3])
    assert told("AveragePool", 2000, kernel_shape=[3, 3])
    assert told("ReduceL2", 60)
    assert told("Softplus", 12)
    assert not told("Softplus", 9)
    assert not told("Softmax", 9)
    assert told("Sin", 100)
    assert not told("Sin", 3)


def test_operators_keep_what_onnx_asks_for(graphs: Any, rng: Any) -> None:
    nodes = [node("Resize", ["x", "", "sizes"], ["r"], "resize", mode="nearest"), node("Relu", ["r"], ["y"], "relu")]
    model = floats(graphs, nodes, {"sizes": np.array([1, 1, 2, 2], np.float32)}, ("n", 2, 3, 3))
    assert type_rest(model, "fp16", {}).islands == []
    assert types(model)["sizes"] == "fp32"
    graphs.typed_answer(model, x=rng.normal(size=(1, 2, 3, 3)).astype(np.float32))


def test_shape_arithmetic_stays(graphs: Any, rng: Any) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]), node("Cast", ["s"], ["sf"], "cast", to=TensorProto.FLOAT),
        node("Mul", ["sf", "half"], ["h"], "mul"), node("Cast", ["h"], ["hi"], "back", to=TensorProto.INT64),
        node("ConstantOfShape", ["hi"], ["zeros"], "zeros"), node("ReduceMax", ["zeros"], ["zero"], "max", keepdims=0),
        node("Add", ["x", "zero"], ["y"], "add"),
    ]
    model = floats(graphs, nodes, {"half": np.array(0.5, np.float32)})
    assert type_rest(model, "fp16", {}).islands == []
    assert types(model)["sf"] == types(model)["half"] == types(model)["h"] == "fp32"
    x = rng.normal(size=(4, 8)).astype(np.float32)
    np.testing.assert_allclose(graphs.typed_answer(model, x=x), x, rtol=1e-3)


def test_shapes_of_narrow_tensors_and_constants_that_are_expanded(graphs: Any, rng: Any) -> None:
    nodes = [node("Relu", ["x"], ["r"], "relu"), node("Shape", ["r"], ["s"], "shape"),
             node("Expand", ["token", "s"], ["e"], "expand"), node("Add", ["r", "e"], ["y"], "add")]
    model = floats(graphs, nodes, {"token": np.full(8, 3, np.float32)})
    assert type_rest(model, "fp16", {}).casts == 2
    assert types(model)["token"] == "fp16"
    graphs.typed_answer(model, x=rng.normal(size=(4, 8)).astype(np.float32))


def test_types_that_onnx_has_not(graphs: Any) -> None:
    nodes = [node("Cast", ["x"], ["i"], "cast", to=TensorProto.INT64), node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
             node("ReduceMax", ["f"], ["m"], "max", keepdims=0), node("Range", ["zero", "m", "one"], ["r"], "range"),
             node("Mul", ["r", "one"], ["y"], "mul")]
    model = floats(graphs, nodes, {"zero": np.array(0, np.float32), "one": np.array(1, np.float32)})
    told = reasons(type_rest(model, "fp16", {"x": 9, "f": 9, "m": 9, "r": 9}))
    assert set(told) == {"range"}
    assert "ONNX has no Range in FP16" in told["range"]
    np.testing.assert_array_equal(graphs.typed_answer(model, x=np.full((1, 8), 5.0, np.float32)), np.arange(5))


def test_large_integers_stay(graphs: Any) -> None:
    nodes = [node("Cast", ["x"], ["i"], "cast", to=TensorProto.INT64), node("Cast", ["i"], ["f"], "back", to=1),
             node("Relu", ["f"], ["y"], "relu")]
    assert "'f' (reaches 3e+03) are exact up to 2048" in reasons(
        type_rest(floats(graphs, nodes), "fp16", {"x": 9, "f": 3000}))["back"]
    assert "'f' (was not measured)" in reasons(type_rest(floats(graphs, nodes), "fp16", {"x": 9}))["back"]
    assert "'x'" in reasons(type_rest(floats(graphs, nodes), "bf16", {"x": 300, "f": 9}))["cast"]
    assert not type_rest(floats(graphs, nodes), "fp16", {"x": 300, "f": 300}).islands


def test_graphs_inside_a_node_are_left(graphs: Any, rng: Any) -> None:
    out = helper.make_tensor_value_info
    then = helper.make_graph([node("Mul", ["r", "c"], ["t"], "inner")], "then", [], [out("t", 1, None)])
    other = helper.make_graph([node("Neg", ["r"], ["e"])], "else", [], [out("e", 1, None)])
    nodes = [node("Relu", ["x"], ["r"], "relu"), node("ReduceMax", ["r"], ["m"], "max", keepdims=0),
             node("Greater", ["m", "zero"], ["b"], "greater"),
             node("If", ["b"], ["i"], "if", then_branch=then, else_branch=other), node("Add", ["i", "c"], ["y"], "add")]
    model = floats(graphs, nodes, {"c": np.full(8, 3, np.float32), "zero": np.array(0, np.float32)})
    x = rng.normal(size=(4, 8)).astype(np.float32)
    told = reasons(type_rest(model, "fp16", {}))
    assert set(told) == {"if"}
    assert "inside an If" in told["if"]
    assert types(model)["r"] == "fp16"
    np.testing.assert_allclose(graphs.typed_answer(model, x=x), np.maximum(x, 0) * 3 + 3, rtol=1e-2)


def test_unknown_operators_and_random_ones(graphs: Any) -> None:
    nodes = [node("RandomNormalLike", ["x"], ["n"], "noise"), node("Add", ["x", "n"], ["y"], "add")]
    model = floats(graphs, nodes)
    assert set(reasons(type_rest(model, "fp16", {}))) == {"noise"}
    graphs.typed_answer(model, x=np.ones((1, 8), np.float32))
    graph = helper.make_graph(
        [helper.make_node("Own", ["x"], ["o"], "own", domain="else.where"), node("Relu", ["o"], ["y"], "relu")], "g",
        [helper.make_tensor_value_info("x", 1, [4])], [helper.make_tensor_value_info("y", 1, [4])],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("else.where", 1)]
    told = reasons(type_rest(ir.from_proto(helper.make_model(graph, opset_imports=imports)), "fp16", {}))
    assert "else.where::Own is not one of ONNX's own" in told["own"]
    assert "type" in told["relu"]


def test_outputs_that_are_read_inside_and_inputs_that_are_outputs(graphs: Any, rng: Any) -> None:
    nodes = [node("Relu", ["x"], ["r"], "relu"), node("Add", ["r", "x"], ["y"], "add")]
    model = floats(graphs, nodes, outputs=("y", "r"))
    assert type_rest(model, "fp16", {}).casts == 3
    assert [(value.name, value.dtype) for value in model.graph.outputs] == [("y", 1), ("r", 1)]
    x = rng.normal(size=(4, 8)).astype(np.float32)
    np.testing.assert_allclose(graphs.typed_answer(model, x=x), np.maximum(x, 0) + x, rtol=2e-3, atol=1e-3)
    type_rest(model, "fp16", {})  # a second time: names stay unique
    graphs.typed_answer(model, x=x)


def test_two_quantizers_that_share_a_weight(graphs: Any, rng: Any) -> None:
    weight = rng.normal(size=(8, 8)).astype(np.float32)
    nodes, constants = graphs.pair("p", "w", np.array(0.03, np.float32))
    more, others = graphs.pair("q", "w", np.array(0.021, np.float32))
    nodes += [*more, node("MatMul", ["x", "p"], ["a"], "a"), node("MatMul", ["a", "q"], ["y"], "y")]
    model = floats(graphs, nodes, constants | others | {"w": weight})
    before = codes(model)
    type_rest(model, "fp16", {})
    for old, new in zip(before, codes(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert onnx.checker.check_model(ir.to_proto(model), full_check=True) is None
