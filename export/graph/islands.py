"""What stays in FP32 when the rest of a graph is computed in 16 bits, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from .floats import Float, overflows
from .fusion import MOVEMENT, Units, is_weight_quantizer
from .magnitudes import unfit_constant, unfit_scale, unfit_tensor
from .signatures import Signature, is_float, signature
from .sums import overflowing_sum
from .values import constant, is_op


@dataclass(frozen=True)
class Island:
    """A node that stays FP32.

    Attributes:
        node: its name.
        reason: why, for people to read.
    """

    node: str
    reason: str


@dataclass
class Decision:
    """Which nodes stay FP32.

    Attributes:
        signatures: of every node of the main graph.
        kept: the nodes that stay FP32, whether or not anybody needs to hear of it.
        islands: those that a reader wants to hear of, in the graph's order.
    """

    signatures: dict[ir.Node, Signature]
    kept: set[ir.Node] = field(default_factory=set)
    islands: list[Island] = field(default_factory=list)

    def narrows(self, value: ir.Value) -> bool:
        """Whether the output of a node becomes 16 bits."""
        node, index = value.producer(), value.index()
        return node in self.signatures and node not in self.kept and self.signatures[node].outputs[index or 0]


def decide(model: ir.Model, to: Float, largest: Mapping[str, float], *, keep_quantized: bool) -> Decision:
    """Decide for every node of the main graph.

    Args:
        model: typed values; no Constant nodes in the main graph.
        to: the type of the rest.
        largest: see `unfit_tensor`.
        keep_quantized: Q, DQ and the layers between them stay FP32, for their scales to stay what they are; these are
            no islands.
    """
    nodes = list(model.graph)
    decision = Decision({node: signature(node, model.opset_imports, to) for node in nodes})
    sizes = _made_from_shapes(nodes, decision.signatures)
    reasons = _reasons(nodes, decision, sizes, largest, to)
    units = Units(model.graph)
    together = _together(reasons, units)
    decision.kept |= sizes | set(together)
    quantized = _quantized(nodes, units) if keep_quantized else set()
    decision.kept |= quantized
    _follow(nodes, units, decision)
    told = {node: why for node, why in together.items() if not is_op(node, "QuantizeLinear", "DequantizeLinear")}
    told = {node: why for node, why in (told | reasons).items() if node not in quantized}
    decision.islands += [Island(str(node.name), told[node]) for node in nodes if node in told]
    return decision


def _reasons(
    nodes: list[ir.Node], decision: Decision, sizes: set[ir.Node], largest: Mapping[str, float], to: Float
) -> dict[ir.Node, str]:
    tensors = {value for node in nodes for value in (*node.inputs, *node.outputs)
               if value is not None and is_float(value) and constant(value) is None}
    unfit = {value: reason for value in tensors if (reason := unfit_tensor(value, largest, to))}
    unfit |= {value: reason for node in nodes for value, reason in _masked(node, largest, to)}
    found = {}
    for node in nodes:
        reason = None if node in sizes else _reason(node, decision.signatures[node], unfit, largest, to)
        if reason is not None:
            found[node] = reason
    return found


def _reason(
    node: ir.Node, typed: Signature, unfit: Mapping[ir.Value, str], largest: Mapping[str, float], to: Float
) -> str | None:
    if typed.reason or not typed.changes:
        return typed.reason
    if reason := unfit_scale(node, to):
        return reason
    for index in range(len(node.inputs)):
        if reason := unfit_constant(node, index, to):
            return reason
    inputs = [value for value, moves in zip(node.inputs, typed.inputs, strict=True) if moves and value is not None]
    if not is_op(node, "QuantizeLinear"):  # a Q takes the type of what it reads
        for value in (*inputs, *node.outputs):
            if value in unfit:
                return unfit[value]
    return overflowing_sum(node, largest.get(str(inputs[0].name)) if inputs else None, to)


def _masked(node: ir.Node, largest: Mapping[str, float], to: Float) -> list[tuple[ir.Value, str]]:
    """The output of an operator that hands on a constant beyond the range, where it was not measured."""
    if not is_op(node, "Add", "Sub", "Where") or str(node.outputs[0].name) in largest:
        return []
    huge = [value for value in node.inputs if is_float(value) and (array := constant(value)) is not None
            and overflows(array, to)]
    reason = f"the tensor {node.outputs[0].name!r} holds numbers beyond {to.largest:.5g}, where {to.title} ends"
    return [(node.outputs[0], reason)] if huge else []


def _made_from_shapes(nodes: list[ir.Node], signatures: Mapping[ir.Node, Signature]) -> set[ir.Node]:
    """The nodes that compute with sizes of tensors, and whose results end as sizes and not as data."""
    found: set[ir.Node] = set()
    for node in nodes:
        sources = [value for value in node.inputs if value is not None and constant(value) is None]
        from_sizes = bool(sources) and all(value.producer() in found for value in sources)
        if is_op(node, "Shape", "Size") or from_sizes:
            found.add(node)
    for node in reversed(nodes):
        uses = [use for value in node.outputs if is_float(value) for use in value.uses()]
        stays = all(use.node in found or not signatures[use.node].inputs[use.idx] for use in uses
                    if use.node in signatures)
        if not stays or is_op(node, "Shape", "Size"):  # these two read no numbers, so any type will do
            found.discard(node)
    return found


def _together(reasons: Mapping[ir.Node, str], units: Units) -> dict[ir.Node, str]:
    """The nodes with a reason, and those that share a kernel with one of them."""
    found: dict[ir.Node, str] = {}
    for seed in reasons:
        for node in units.of(seed):
            found.setdefault(node, f"it is computed in one kernel with {seed.name!r}, which stays FP32")
    return found


def _quantized(nodes: list[ir.Node], units: Units) -> set[ir.Node]:
    """Q, DQ and the layers between them."""
    found = {node for node in nodes if is_op(node, "QuantizeLinear")}
    for node in nodes:
        if is_op(node, "DequantizeLinear"):
            found.update(units.of(node))
    return found


def _follow(nodes: list[ir.Node], units: Units, decision: Decision) -> None:
    """A Q, and what only moves data towards one, stays FP32 where what it reads is FP32: no Cast is needed at all."""
    for node in nodes:
        moves = is_op(node, *MOVEMENT) and node in units.bound
        if not moves and (not is_op(node, "QuantizeLinear") or is_weight_quantizer(node)):
            continue
        sources = [value for value, counts in zip(node.inputs, decision.signatures[node].inputs, strict=True)
                   if counts and value is not None and constant(value) is None]
        if sources and not any(decision.narrows(value) for value in sources):
            decision.kept.add(node)


__all__ = ["Decision", "Island", "decide"]
