"""The rules of `placement: tensorrt`, one function a rule. Later computations are decided before earlier ones."""

from __future__ import annotations

from .draft import Draft
from .graph import CARRIES, Call


def place(draft: Draft) -> None:
    """Quantize what TensorRT computes on integers, and leave alone what it fuses."""
    calls = draft.graph.calls
    for call in calls:
        if call.name in draft.weighted and call.inputs:
            draft.quantize_input(call, 0)
        elif call.kind in ("matmul", "attention"):
            _product(draft, call)
    for call in reversed(calls):
        if call.kind == "add":
            _add(draft, call)
        elif call.kind == "cat":
            _concat(draft, call)
        elif call.kind == "pool":
            _pool(draft, call)


def _product(draft: Draft, call: Call) -> None:
    """Both operands of a product of activations, such as those of attention; none where one is a parameter."""
    operands = range(3 if call.kind == "attention" else 2)
    if not all(draft.graph.computed(call.inputs[operand]) for operand in operands):
        return
    for operand in operands:
        draft.quantize_input(call, operand)
    if call.kind == "attention":
        draft.quantize_softmax(call)


def _add(draft: Draft, call: Call) -> None:
    """Both summands, but not the one that comes straight from a weighted layer: the sum is part of its epilogue.

    Of two such summands the deeper one is the layer's; the other is the skip branch. A sum that no quantizer follows,
    such as the residual stream into a LayerNorm, stays float.
    """
    graph = draft.graph
    if len(call.inputs) != 2 or not all(graph.computed(tensor) for tensor in call.inputs):
        return
    if graph.shapes[call.inputs[0]] != graph.shapes[call.inputs[1]] or not _followed(draft, call):
        return
    main = [operand for operand in (0, 1) if graph.behind(call.inputs[operand])]
    fused = max(main, key=lambda operand: graph.depth[call.inputs[operand]], default=None)
    for operand in (0, 1):
        if operand != fused:
            draft.quantize_input(call, operand)


def _concat(draft: Draft, call: Call) -> None:
    """All parts by one quantizer, which what follows shares."""
    if not _followed(draft, call) or not all(draft.graph.computed(tensor) for tensor in call.inputs):
        return
    for operand in range(len(call.inputs)):
        draft.quantize_input(call, operand)
    draft.tie(*call.inputs, *call.outputs)


def _pool(draft: Draft, call: Call) -> None:
    """What is averaged; the average itself is quantized by what follows."""
    if _followed(draft, call) and call.inputs and len(draft.graph.shapes[call.inputs[0]]) == 4:
        draft.quantize_input(call, 0)


def _followed(draft: Draft, call: Call) -> bool:
    return any(draft.has(end) for output in call.outputs for end in draft.graph.ends(output, CARRIES))


__all__ = ["place"]
