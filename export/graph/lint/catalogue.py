"""All rules, by family; `docs/lint.md` lists the same."""

from __future__ import annotations

from . import axes, codes, hops, operators, pairs, placement, restrictions, scales, sparsity
from .finding import Rule

UNREADABLE = Rule(
    "FILE001", "error", "a node that breaks the rules of its operator", "No runtime can read it.",
    "Export the model again.", anywhere=True,
)
ALL: tuple[Rule, ...] = (
    UNREADABLE, *operators.RULES, *restrictions.RULES, *codes.RULES, *scales.RULES, *axes.RULES, *pairs.RULES,
    *placement.RULES, *hops.RULES, *sparsity.RULES,
)

__all__ = ["ALL", "UNREADABLE"]
