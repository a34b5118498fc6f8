"""Did it run sparse? Weights, kernel names, build log and graph weighed for each layer.

Only the name of a layer's kernel proves that it ran sparse. The flag, the size of the file and `HasSparseWeights`
prove nothing; a layer of which nothing is known is unknown, not dense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import onnx_ir as ir

from ...export.graph.surroundings import Surroundings, computed_weights, surroundings
from ...export.graph.two_four import Sparsity, check
from ..records import LayerEvidence, Precision, SparsityLine
from .inspector import InspectedLayer, kind_of
from .join import Joined, join
from .listed import Listed
from .reasons import BuildFacts, Reason, disadvantages, obstacles

_FASTER = Reason("the builder timed both and found the dense kernel faster at the shape that it was built for",
                 "A larger `opt_batch` or wider layers favour the sparse kernel.")
_NOT_LISTED = Reason("the builder's log does not count it among the eligible layers")
_CHOSEN = Reason("the builder's log says that it chose a sparse kernel for it")
_HIDDEN = Reason("the engine does not name the kernel that computes it",
                 "Look at the kernels' names with `nsys profile --cuda-graph-trace=node`.")
_ABSENT = Reason("the engine's list of layers does not name it", "Build it with detailed profiling verbosity.")


def weigh_model(
    model: ir.Model, layers: Sequence[InspectedLayer], log: Sequence[SparsityLine], shares: Mapping[str, float] | None,
    build: BuildFacts,
) -> list[LayerEvidence]:
    """`weigh` for every weighted layer of the graph that the engine was parsed from."""
    return weigh([*check(model), *computed_weights(model)], layers, log, shares, build, surroundings(model))


def weigh(
    sparsity: Sequence[Sparsity], layers: Sequence[InspectedLayer], log: Sequence[SparsityLine],
    shares: Mapping[str, float] | None, build: BuildFacts, around: Mapping[str, Surroundings] | None = None,
) -> list[LayerEvidence]:
    """Judge every weighted layer.

    Args:
        sparsity: what was found at the weights in the ONNX file.
        layers: of the engine; empty where it was not inspected.
        log: what the builder said.
        shares: part of the engine's time by layer name, 0 to 1, or None where it was not profiled.
        build: how it was built.
        around: what surrounds each node in the graph, by name. Defaults to what the weights alone tell.

    Returns:
        One entry for each of `sparsity`, in its order.
    """
    known = {found.name: (around or {}).get(found.name, Surroundings(int8_in=False)) for found in sparsity}
    joined = join([found.name for found in sparsity], layers, shares)
    listed = Listed.of(log, layers)
    return [_evidence(found, joined[found.name], listed, build, known[found.name]) for found in sparsity]


def with_shares(
    evidence: Sequence[LayerEvidence], layers: Sequence[InspectedLayer], shares: Mapping[str, float]
) -> list[LayerEvidence]:
    """The same evidence with shares of the engine's time that were measured later, by layer name, 0 to 1."""
    joined = join([one.name for one in evidence], layers, shares)
    return [one.model_copy(update={"time_share": joined[one.name].share}) for one in evidence]


def _evidence(
    weight: Sparsity, joined: Joined, listed: Listed, build: BuildFacts, around: Surroundings
) -> LayerEvidence:
    kernel = joined.layers[0] if joined.layers else None
    sparse = _sparse(joined.layers)
    against = [] if sparse else _against(weight, joined.layers, listed, build, around)
    eligible: Literal["yes", "no"] = "no" if against else "yes"
    ran: Literal["yes", "no", "unknown"] = "yes" if sparse else "no" if sparse is False or against else "unknown"
    reasons = _reasons(weight, joined, listed, build, around, ran, against)
    change = next((reason.change for reason in reasons if reason.change), None) if ran != "yes" else None
    return LayerEvidence(
        name=weight.name, op=weight.op, shape=list(weight.shape), two_four=weight.two_four, zeros=weight.zeros,
        precision=_precision(joined.layers), kernel=_kernel(joined.layers), ran_sparse=ran,
        reason="; ".join([reason.text for reason in reasons[:2]] + _flag(kernel, weight, ran)), eligible=eligible,
        change=change, time_share=joined.share,
    )


def _against(
    weight: Sparsity, layers: Sequence[InspectedLayer], listed: Listed, build: BuildFacts, around: Surroundings
) -> list[Reason]:
    """What makes it not eligible; the builder's own word goes before the rules."""
    said = listed.is_eligible(weight.name, layers)
    if said:
        return []
    found = obstacles(weight, around, build)
    if found or said is None:
        return found
    return [_NOT_LISTED, *disadvantages(weight, around, build, layers[0] if layers else None)]


def _reasons(
    weight: Sparsity, joined: Joined, listed: Listed, build: BuildFacts, around: Surroundings, ran: str,
    against: list[Reason],
) -> list[Reason]:
    if ran == "yes":
        return [Reason("its kernel's name says so")]
    if against:
        return against
    if ran == "unknown":
        told = [_CHOSEN] if listed.is_chosen(weight.name, joined.layers) else []
        return [*told, _unknown(joined.layers)]
    return disadvantages(weight, around, build, joined.layers[0]) or [_FASTER]


def _unknown(layers: Sequence[InspectedLayer]) -> Reason:
    if not layers:
        return _ABSENT
    if len({layer.sparse for layer in layers}) > 1:
        return Reason(f"{len(layers)} kernels are named after it, and only some of them are sparse", _HIDDEN.change)
    return _HIDDEN


def _sparse(layers: Sequence[InspectedLayer]) -> bool | None:
    said = {layer.sparse for layer in layers}
    return said.pop() if len(said) == 1 else None


def _kernel(layers: Sequence[InspectedLayer]) -> str | None:
    return next((layer.tactic for layer in layers if layer.tactic is not None), None)


def _precision(layers: Sequence[InspectedLayer]) -> Precision:
    for layer in layers:
        kinds = [tensor.kind for tensor in layer.inputs[:1]] + [kind_of(layer.weights_type or "")]
        for kind in kinds:
            if kind == "int8" or kind == "float":
                return kind
    return "unknown"


def _flag(kernel: InspectedLayer | None, weight: Sparsity, ran: str) -> list[str]:
    """What the inspector claims of the weights, shown where people would take it for proof, or where it is wrong."""
    flag = kernel.has_sparse_weights if kernel is not None else None
    if flag and ran != "yes":
        return ["HasSparseWeights is 1, which proves nothing"]
    return ["HasSparseWeights is 0, although its weights are 2:4"] if flag is False and weight.two_four else []


__all__ = ["weigh", "weigh_model", "with_shares"]
