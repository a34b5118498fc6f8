"""Which layers of the engine compute an ONNX node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .inspector import InspectedLayer, name_parts, squashed

_MOVES = {  # they hold a node's name where they serve it, and compute nothing of it
    "cast", "constant", "identity", "noop", "pointwise", "pointwisev2", "reformat", "shuffle", "signal", "slice",
    "wait",
}


@dataclass(frozen=True)
class Joined:
    """What computes one node.

    Attributes:
        layers: the engine's layers, those with a telling kernel name alone if there are any; empty: not found.
        share: its part of the engine's time, or None where it was not measured.
    """

    layers: tuple[InspectedLayer, ...]
    share: float | None


def join(
    nodes: Collection[str], layers: Sequence[InspectedLayer], shares: Mapping[str, float] | None
) -> dict[str, Joined]:
    """Find each node's layers: by the metadata, else by the layers' names.

    Args:
        nodes: names of weighted ONNX nodes.
        layers: of the engine.
        shares: part of the engine's time by layer name, 0 to 1; a layer that computes several nodes is divided evenly.
    """
    working = computing(layers)
    found = {node: _telling(node, _by_metadata(node, working) or _by_name(node, working)) for node in nodes}
    users = Counter(layer.name for layers in found.values() for layer in layers)
    return {node: Joined(layers, _share(layers, users, shares or {})) for node, layers in found.items()}


def computing(layers: Sequence[InspectedLayer]) -> list[InspectedLayer]:
    """The layers that compute something, of those that an engine has."""
    return [layer for layer in layers if layer.type.lower() not in _MOVES]


def _by_metadata(node: str, layers: Sequence[InspectedLayer]) -> list[InspectedLayer]:
    return [layer for layer in layers if node in layer.onnx_nodes]


def _by_name(node: str, layers: Sequence[InspectedLayer]) -> list[InspectedLayer]:
    exact = [layer for layer in layers if node == layer.name or node in name_parts(layer.name)]
    if exact:
        return exact
    written = squashed(node)
    return [layer for layer in layers if written in map(squashed, name_parts(layer.name))]


def _telling(node: str, layers: list[InspectedLayer]) -> tuple[InspectedLayer, ...]:
    """The metadata of a neighbour's kernel may name the node too: what is also called after it goes first."""
    telling = [layer for layer in layers if layer.tells] or layers
    return tuple(_by_name(node, telling) or telling)


def _share(layers: Sequence[InspectedLayer], users: Counter[str], shares: Mapping[str, float]) -> float | None:
    parts = [shares[layer.name] / users[layer.name] for layer in layers if layer.name in shares]
    return min(sum(parts), 1.0) if parts else None


__all__ = ["Joined", "computing", "join"]
