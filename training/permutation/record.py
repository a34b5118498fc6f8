"""What is written down of a permutation. Imports no torch."""

from __future__ import annotations

from ...common.schema import Document


class PermutedGroup(Document):
    """Channels that were permuted together.

    Attributes:
        layers: the sparse layers that read them.
        channels: how many there are.
        rows: rows of the matrix searched: outputs times kernel positions of all these layers.
        default: sum of magnitudes that 2:4 masks keep in the given order.
        kept: in the order found.
        bound: what the largest half of every row sums up to; no order reaches more.
        efficacy: how much of what lies between default and bound was gained, in percent.
        seconds: of the search.
    """

    layers: list[str]
    channels: int
    rows: int
    default: float
    kept: float
    bound: float
    efficacy: float
    seconds: float


class Permutation(Document):
    """All groups, and the sparse layers whose channels stayed, with the reason."""

    groups: list[PermutedGroup]
    left: dict[str, str]


__all__ = ["Permutation", "PermutedGroup"]
