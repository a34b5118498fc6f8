"""Fill the zeros of 2:4 weights: the dense arm of a benchmark, with the shapes and scales of the sparse network."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .int8_weights import weight_codes
from .naming import WEIGHTED
from .passes import Pass
from .quantizers import along
from .two_four import check
from .values import Array, add_initializer, all_nodes, constant, input_at, integer, is_op, set_initializer

_SEED = 24


def fill_zeros(model: ir.Model, seed: int = _SEED) -> int:
    """Replace the zeros of every weight that is 2:4 by random values; its answers are meaningless, only its speed is.

    A zero takes the value of another weight of its layer, drawn at random among those that aren't zero, with a random
    sign; a quantized one is no code 0 afterwards. Scales, shapes, types, Q and DQ stay.

    Args:
        model: changed in place; FP32 weights, FP32 weights with Q/DQ, or integer weights with DQ.
        seed: of the random values, always the same for the same seed. Defaults to 24.

    Returns:
        The number of weights that were filled.
    """
    return Pass("fill_zeros", lambda model: _fill_all(model, seed), "kept")(model)


def _fill_all(model: ir.Model, seed: int) -> int:
    sparse = {found.name for found in check(model) if found.two_four and found.zeros}
    generator, done = np.random.default_rng(seed), set[ir.Value]()
    for node in [node for node in all_nodes(model) if is_op(node, *WEIGHTED) and str(node.name) in sparse]:
        reader, index = _source(node)
        value = reader.inputs[index]
        if value is not None and value not in done:
            done.add(_store(reader, index, value, _filled(reader, value, generator)))
    return len(done)


def _source(node: ir.Node) -> tuple[ir.Node, int]:
    """The node that reads a layer's constant weight, and at which input: the layer itself, its Q or its DQ."""
    for index in (1, 0):
        reader, position = node, index
        while (value := input_at(reader, position)) is not None and constant(value) is None:
            producer = value.producer()
            if producer is None:
                break
            reader, position = producer, 0
        else:
            if value is not None:
                return reader, position
    raise ValueError(f"{node.name} has no constant weight")


def _filled(reader: ir.Node, value: ir.Value, generator: np.random.Generator) -> Array:
    """The weight without zeros; behind a Q, on the centres of its new codes."""
    array = constant(value)
    assert array is not None
    codes = weight_codes(reader) if is_op(reader, "QuantizeLinear") else None
    zero = _zero_code(reader, array.ndim)
    if codes is None:
        return _replaced(array, array == zero, zero, generator)
    codes = _replaced(codes, codes == zero, zero, generator)
    scale = constant(reader.inputs[1])
    assert scale is not None
    step = along(scale, integer(reader, "axis", 1), array.ndim).astype(np.float32)
    filled: Array = ((codes.astype(np.float32) - zero) * step).astype(array.dtype)
    return filled


def _zero_code(reader: ir.Node, ndim: int) -> Array:
    zero = constant(input_at(reader, 2)) if is_op(reader, "QuantizeLinear", "DequantizeLinear") else None
    return np.zeros((), np.int32) if zero is None else along(zero, integer(reader, "axis", 1), ndim).astype(np.int32)


def _replaced(array: Array, holes: Array, zero: Array, generator: np.random.Generator) -> Array:
    """`array` with others of its own values, half of them mirrored at `zero`, where `holes` is true."""
    wide = array if array.dtype.kind == "f" else array.astype(np.int32)
    distances = (wide - zero)[~holes]
    if not distances.size:
        distances = np.ones(1, wide.dtype)
    count = int(holes.sum())
    drawn, mirrored = generator.choice(distances, count), generator.random(count) < 0.5
    middle = np.broadcast_to(zero, array.shape)[holes]
    low, high = (-np.inf, np.inf) if array.dtype.kind == "f" else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
    fits = (middle - drawn >= low) & (middle - drawn <= high)
    result: Array = array.copy()
    result[holes] = np.clip(middle + np.where(mirrored & fits, -drawn, drawn), low, high).astype(array.dtype)
    return result


def _store(reader: ir.Node, index: int, value: ir.Value, array: Array) -> ir.Value:
    if value.is_initializer():
        set_initializer(value, array)
        return value
    graph = reader.graph
    assert isinstance(graph, ir.Graph)
    copy = add_initializer(graph, f"{value.name}/dense", array)
    reader.replace_input_with(index, copy)
    return copy


__all__ = ["fill_zeros"]
