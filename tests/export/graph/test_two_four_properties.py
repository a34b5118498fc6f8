"""Random chains of Q, DQ, Cast and shapes in front of random operators, judged by ONNX Runtime and loops in Python."""

from __future__ import annotations

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from twofour.export.graph.two_four import check

Array = np.ndarray[Any, Any]
FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.BFLOAT16: ml_dtypes.bfloat16}


class Chain:
    """A graph that grows from a constant; `shape` is that of its end."""

    def __init__(self, array: Array) -> None:
        self.constants, self.nodes = [onnx.numpy_helper.from_array(array, "w")], list[onnx.NodeProto]()
        self.end, self.shape = "w", array.shape

    def add(self, op: str, shape: tuple[int, ...], *inputs: str, **attributes: Any) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.end, *inputs], [name], **attributes))
        self.end, self.shape = name, shape

    def constant(self, array: Array) -> str:
        self.constants.append(onnx.numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return str(self.constants[-1].name)


def rearranged(data: st.DataObject, chain: Chain) -> None:
    """One step that keeps every element."""
    shape = chain.shape
    kind = data.draw(st.sampled_from(["Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Flatten"]))
    if kind == "Transpose":
        perm = data.draw(st.permutations(range(len(shape))))
        chain.add(kind, tuple(shape[axis] for axis in perm), perm=perm)
    elif kind == "Reshape":
        new = (shape[0], -1) if data.draw(st.booleans()) else (-1,)
        result = (shape[0], int(np.prod(shape[1:]))) if len(new) == 2 else (int(np.prod(shape)),)
        chain.add(kind, result, chain.constant(np.array(new, np.int64)))
    elif kind == "Unsqueeze":
        axis = data.draw(st.integers(0, len(shape)))
        chain.add(kind, (*shape[:axis], 1, *shape[axis:]), chain.constant(np.array([axis], np.int64)))
    elif kind == "Squeeze" and 1 in shape and len(shape) > 1:
        axis = shape.index(1)
        chain.add(kind, shape[:axis] + shape[axis + 1 :], chain.constant(np.array([axis], np.int64)))
    elif kind == "Flatten":
        axis = data.draw(st.integers(0, len(shape)))
        chain.add(kind, (int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))), axis=axis)
    else:
        chain.add("Identity", shape)


def quantized(data: st.DataObject, chain: Chain, random: np.random.Generator, stored: bool) -> None:
    """DQ alone where codes are stored, else Q and DQ with steps between them."""
    axis = data.draw(st.none() | st.integers(0, len(chain.shape) - 1))
    size = () if axis is None else (chain.shape[axis],)
    attributes = {} if axis is None else {"axis": axis}
    kind = np.int8 if data.draw(st.booleans()) else np.uint8
    low, high = (-3, 4) if kind is np.int8 else (0, 3)
    scale = chain.constant(random.choice(np.array([0.25, 0.5, 1.0], np.float32), size))
    zero = chain.constant(random.integers(low, high, size).astype(kind) * data.draw(st.sampled_from([0, 1, 1])))
    if not stored:
        chain.add("QuantizeLinear", chain.shape, scale, zero, **attributes)
        if axis is None and data.draw(st.booleans()):
            rearranged(data, chain)
    chain.add("DequantizeLinear", chain.shape, scale, zero, **attributes)


def weight(data: st.DataObject, target: tuple[int, ...]) -> Chain:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = random.integers(-3, 4, target) * (random.random(target) < data.draw(st.floats(0.2, 0.9)))
    stored = data.draw(st.sampled_from(["int8", "uint8", *FLOATS]))
    if isinstance(stored, str):
        chain = Chain((values if stored == "int8" else abs(values)).astype(stored).reshape(-1))
        chain.add("Reshape", target, chain.constant(np.array(target, np.int64)))
        kind = np.dtype(stored).type
        scale, zero = chain.constant(np.float32(0.5)), chain.constant(kind(data.draw(st.integers(0, 1))))
        chain.add("DequantizeLinear", target, scale, zero)
    else:
        chain = Chain((values / 4).astype(FLOATS[stored]))
        if stored != TensorProto.FLOAT:
            chain.add("Cast", target, to=TensorProto.FLOAT)
    for _ in range(data.draw(st.integers(0, 3))):
        rearranged(data, chain)
    for _ in range(data.draw(st.integers(0, 2))):
        quantized(data, chain, random, False)
        rearranged(data, chain)
    chain.add("Reshape", target, chain.constant(np.array(target, np.int64)))
    return chain


def operator(data: st.DataObject) -> tuple[str, tuple[int, ...], int, int, int, dict[str, int]]:
    """op, weight's shape, the axis summed over, its parts, which input, attributes."""
    small, summed = st.integers(1, 5), data.draw(st.integers(1, 9))
    op = data.draw(st.sampled_from(["Conv", "ConvTranspose", "Gemm", "MatMul"]))
    other = data.draw(small)
    if op in ("Conv", "ConvTranspose"):
        group = data.draw(st.integers(1, 3))
        kernel = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
        if op == "Conv":
            return op, (group * other, summed, *kernel), 1, 1, 1, {"group": group}
        return op, (group * summed, other, *kernel), 0, group, 1, {"group": group}
    index, turned = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))
    if op == "Gemm":
        axis = turned if index else 1 - turned
        shape = (summed, other) if axis == 0 else (other, summed)
        return op, shape, axis, 1, index, {"transB" if index else "transA": turned}
    stack = tuple(data.draw(st.lists(small, max_size=2)))
    shape = (*stack, summed, other) if index else (*stack, other, summed)
    return op, shape, len(shape) - (2 if index else 1), 1, index, {}


def brute_force(mask: Array, axis: int, parts: int) -> tuple[int, int]:
    groups = violations = 0
    moved = np.moveaxis(mask, axis, -1)
    for index in product(*map(range, moved.shape[:-1])):
        for part in np.split(moved[index], parts):
            for start in range(0, len(part), 4):
                groups += 1
                violations += int(part[start : start + 4].sum()) > 2
    return groups, violations


def model(chain: Chain, nodes: list[onnx.NodeProto], output: str) -> onnx.ModelProto:
    graph = helper.make_graph([*chain.nodes, *nodes], "g", [helper.make_tensor_value_info("x", 1, None)],
                              [helper.make_tensor_value_info(output, 1, None)], chain.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def evaluated(chain: Chain) -> Array:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    proto = model(chain, [helper.make_node("Identity", [chain.end], ["end"])], "end")
    del proto.graph.input[:]
    return ort.InferenceSession(proto.SerializeToString(), options).run(None, {})[0]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_any_chain_before_any_operator_is_judged_as_by_hand(data: st.DataObject) -> None:
    op, shape, axis, parts, index, attributes = operator(data)
    chain = weight(data, shape)
    mask = evaluated(chain) != 0
    operands = ["x", chain.end] if index else [chain.end, "x"]
    proto = model(chain, [helper.make_node(op, operands, ["y"], "layer", **attributes)], "y")
    found, = check(ir.from_proto(proto))
    assert (found.op, found.shape, found.axis) == (op, shape, axis)
    assert (found.groups, found.violations) == brute_force(mask, axis, parts)
    assert found.zeros == 1 - np.count_nonzero(mask) / mask.size
    assert found.two_four is (found.violations == 0 and shape[axis] // parts % 4 == 0)
    kinds = {node.op_type for node in chain.nodes}
    assert found.quantized is bool(kinds & {"QuantizeLinear", "DequantizeLinear"})
