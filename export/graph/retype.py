"""Carry out which nodes stay FP32: types of values, constants in the type of their reader, Casts at the borders."""

from __future__ import annotations

import onnx_ir as ir

from .floats import Float, rounded, saturated
from .fusion import is_weight_quantizer
from .islands import Decision
from .signatures import is_float
from .values import Use, add_initializer, constant, drop_unused, is_op, set_initializer
from .weight_centres import move_to_centres


def retype(model: ir.Model, decision: Decision, to: Float) -> int:
    """Change the main graph; names of nodes, inputs and outputs stay.

    A tensor that is an output of the graph keeps its name for the FP32 result of the Cast; the 16-bit one before it
    is `NAME/fp16`.

    Returns:
        The number of Cast nodes that were added.
    """
    nodes = list(model.graph)
    for node in nodes:
        if node not in decision.kept and is_weight_quantizer(node) and decision.signatures[node].inputs[0]:
            move_to_centres(node, to)
    constants = [value for value in model.graph.initializers.values() if is_float(value) and not value.is_graph_input()]
    tensors = [value for value in model.graph.inputs if is_float(value)]
    tensors += [value for node in nodes for value in node.outputs if is_float(value)]
    wants = {value: _narrow_uses(value, decision) for value in (*constants, *tensors)}
    narrowed = {value for value in tensors if decision.narrows(value)}
    for value in narrowed:
        _narrow(value, to)
    for value in constants:
        _convert(model.graph, value, wants[value], to)
    taken = {str(value.name) for node in nodes for value in node.outputs}
    return sum(_cast(model.graph, value, wants[value], value in narrowed, to, taken) for value in tensors)


def _narrow_uses(value: ir.Value, decision: Decision) -> list[Use]:
    """The uses that take the narrow type; nodes inside of other nodes' graphs never do."""
    return [
        use for use in value.uses()
        if use.node in decision.signatures and use.node not in decision.kept
        and decision.signatures[use.node].inputs[use.idx]
    ]


def _narrow(value: ir.Value, to: Float) -> None:
    value.dtype = to.dtype
    node = value.producer()
    if is_op(node, "Cast"):
        assert node is not None
        node.attributes["to"] = ir.AttrInt64("to", int(to.dtype))
    elif node is not None and "output_dtype" in node.attributes and is_op(node, "DequantizeLinear"):
        node.attributes["output_dtype"] = ir.AttrInt64("output_dtype", int(to.dtype))


def _convert(graph: ir.Graph, value: ir.Value, uses: list[Use], to: Float) -> None:
    """A constant becomes narrow; where FP32 is read too, or another array is needed, it is copied."""
    array = constant(value)
    if array is None or not uses:
        return
    bounds = [use for use in uses if is_op(use.node, "Clip") and use.idx]
    others = [use for use in uses if use not in bounds]
    if len(others) == len(value.uses()) and not value.is_graph_output():
        set_initializer(value, rounded(array, to))
        return
    for group, convert in ((others, rounded), (bounds, saturated)):
        if group:
            copy = add_initializer(graph, f"{value.name}/{to.name}", convert(array, to))
            for use in group:
                use.node.replace_input_with(use.idx, copy)
    drop_unused(graph, [value])


def _cast(
    graph: ir.Graph, value: ir.Value, uses: list[Use], narrowed: bool, to: Float, taken: set[str]
) -> int:
    """Add the Cast that some readers of a tensor need; 0 where none does."""
    wrong = [use for use in value.uses() if use not in uses] if narrowed else uses
    output = narrowed and value.is_graph_output()
    if not wrong and not output:
        return 0
    dtype = ir.DataType.FLOAT if narrowed else to.dtype
    name, other = str(value.name), _free(f"{value.name}/{'fp32' if narrowed and not output else to.name}", taken)
    cast = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{other}/Cast")
    result = cast.outputs[0]
    result.name, result.shape, result.type = other, value.shape, ir.TensorType(dtype)
    for use in wrong:
        use.node.replace_input_with(use.idx, result)
    if output:
        value.name, result.name = other, name
        graph.outputs[:] = [result if one is value else one for one in graph.outputs]
    _insert(graph, value, cast)
    return 1


def _free(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    taken.add(candidate)
    return candidate


def _insert(graph: ir.Graph, value: ir.Value, cast: ir.Node) -> None:
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], cast)
    else:
        graph.insert_after(producer, cast)


__all__ = ["retype"]
