"""What training decided for each layer, joined with what was found in the engine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...common.bundle import Layer
from ...engines.records import LayerEvidence
from .collect import Run


@dataclass(frozen=True)
class LayerView:
    """One weighted layer.

    Attributes:
        weights: number of weights.
        two_four: 2:4 on the integer codes of an engine; as planned in training where no engine was built.
        zeros: share of zero codes, 0 to 1, or None where no engine was built.
        measured: `two_four` was read from the engine's integers.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    two_four: bool
    zeros: float | None
    reason: str
    measured: bool


def layer_views(run: Run) -> list[LayerView]:
    """Every layer in the order of the network; layers that only the engine knows come last."""
    evidence = {item.name: item for engine in reversed(run.engines) for item in engine.record.layers}
    known = [_joined(layer, evidence.pop(layer.name, None)) for layer in run.layers]
    return known + [_from_engine(item) for item in evidence.values()]


def _joined(layer: Layer, evidence: LayerEvidence | None) -> LayerView:
    two_four = evidence.two_four if evidence else layer.sparse
    zeros = evidence.zeros if evidence else None
    weights = math.prod(layer.shape)
    return LayerView(
        layer.name, layer.kind, tuple(layer.shape), weights, two_four, zeros, layer.reason, evidence is not None
    )


def _from_engine(item: LayerEvidence) -> LayerView:
    return LayerView(
        item.name, item.op, tuple(item.shape), math.prod(item.shape), item.two_four, item.zeros, item.reason, True
    )


def share(layers: list[LayerView]) -> float | None:
    """The share of all weights that lies in 2:4 layers, 0 to 1, or None without layers."""
    total = sum(layer.weights for layer in layers)
    return sum(layer.weights for layer in layers if layer.two_four) / total if total else None


__all__ = ["LayerView", "layer_views", "share"]
