"""What the builder's log says of one layer, where it lists names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..records import SparsityLine
from .inspector import InspectedLayer, name_parts


@dataclass(frozen=True)
class Listed:
    """The names in a build log.

    Attributes:
        eligible: the builder's names of the layers that could use sparse kernels.
        chosen: of those that do.
        whole: every selection says how many are eligible and lists them all, under names that the engine has too, so
            that a name that is missing is missing for a reason; also where none is eligible.
    """

    eligible: frozenset[str]
    chosen: frozenset[str]
    whole: bool

    @classmethod
    def of(cls, log: Sequence[SparsityLine], layers: Sequence[InspectedLayer]) -> Listed:
        """Read the log of the engine that has these layers."""
        eligible = frozenset(name for line in log for name in line.eligible_names)
        counted = bool(log) and all(line.eligible == len(line.eligible_names) for line in log)
        engine = {part for layer in layers for part in (layer.name, *name_parts(layer.name), *layer.onnx_nodes)}
        met = all(name in engine or engine.intersection(name_parts(name)) for name in eligible)
        return cls(eligible, frozenset(name for line in log for name in line.chosen_names), counted and met)

    def is_eligible(self, node: str, layers: Sequence[InspectedLayer]) -> bool | None:
        """Whether the log lists the node, which `layers` compute, as eligible; None where it doesn't tell."""
        if _among(self.eligible, node, layers):
            return True
        return False if self.whole and (layers or not self.eligible) else None

    def is_chosen(self, node: str, layers: Sequence[InspectedLayer]) -> bool:
        """Whether the log lists the node among the layers that a sparse kernel was chosen for."""
        return _among(self.chosen, node, layers)


def _among(names: frozenset[str], node: str, layers: Sequence[InspectedLayer]) -> bool:
    own = {layer.name for layer in layers}
    return any(name in own or node == name or node in name_parts(name) for name in names)


__all__ = ["Listed"]
