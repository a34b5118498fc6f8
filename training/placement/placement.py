"""The placement as a document: what is quantized, and what shares a quantizer. It lies in a stage's folder."""

from __future__ import annotations

from ...common.schema import Document

PLACEMENT = "placement.json"


class Site(Document):
    """A computation between layers that gets quantizers.

    Attributes:
        module: path of the module in whose forward() it stands; empty for the network itself.
        kind: `add`, `cat`, `pool`, `matmul`, `attention` or `activation`.
        index: how many of the kind come before it in one call of that module.
        name: of the child that the module gets.
    """

    module: str
    kind: str
    index: int
    name: str


class Placement(Document):
    """Where the quantizers of a network are.

    Attributes:
        policy: what the recipe asked for.
        sites: computations between layers that get quantizers.
        quantizers: names of the quantizers of activations and weights; those of one entry are one and the same
            quantizer, with one range, known by the first name.
        missed: what the policy wanted and could not be placed, with the reason.
    """

    policy: str | list[str]
    sites: list[Site] = []
    quantizers: list[list[str]]
    missed: list[str] = []


__all__ = ["PLACEMENT", "Placement", "Site"]
