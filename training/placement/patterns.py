"""Choosing quantizers by name: policies and shell-style patterns, in order."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ...common.errors import UserError


def choose(entries: Sequence[str], policies: Mapping[str, set[str]], names: Sequence[str]) -> set[str]:
    """What a list of policies and patterns leaves.

    Args:
        entries: each the name of a policy (adds what it places), a pattern (adds what it matches) or `!` and a pattern
            (takes away), applied in order.
        policies: what each policy places.
        names: everything that can be quantized.

    Raises:
        UserError: a pattern matches nothing; the nearest names are given.
    """
    chosen: set[str] = set()
    for entry in entries:
        if entry in policies:
            chosen |= policies[entry]
            continue
        found = _matching(entry.removeprefix("!"), names)
        chosen = chosen - found if entry.startswith("!") else chosen | found
    return chosen


def _matching(pattern: str, names: Sequence[str]) -> set[str]:
    found = {name for name in names if fnmatchcase(name, pattern)}
    if not found:
        near = difflib.get_close_matches(pattern, names, 3, 0.3) or list(names[:3])
        raise UserError(
            f"The pattern {pattern!r} matches no quantizer.",
            where="calibrate.placement",
            fix=f"The nearest names are: {', '.join(near)}." if near else "This network has nothing to quantize.",
        )
    return found


__all__ = ["choose"]
