"""What the builder's log says of sparsity and of memory. A wording that isn't known stays unknown: never a zero."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from ..records import SparsityLine

_SPEAKS = re.compile(r"\(sparsity\)|\bsparse\s+(?:tactic|math|implementation|kernel)s?\b", re.IGNORECASE)
_COUNTED = {  # TensorRT 10
    "eligible": r"Found (?P<count>[0-9]{1,9}) layer(?:\(s\)|s)? eligible to use sparse tactics",
    "chosen": r"Chose (?P<count>[0-9]{1,9}) layer(?:\(s\)|s)? using sparse tactics",
}
_LISTED = {  # TensorRT 8: no number, only names
    "eligible": r"Layers eligible for sparse math:",
    "chosen": r"TRT inference plan picked sparse implementation for layers:",
}
_MEMORY = re.compile(
    r"insuff?icient memory|memory is insufficient|sufficient workspace memory|could not be allocated"
    r"|\bOutOfMemory\b|\bout of memory\b|memory allocation error",
    re.IGNORECASE,
)  # "insuficient" is how releases up to 8.5 spell it

Side = Literal["eligible", "chosen"]


def _patterns() -> Iterator[tuple[Side, re.Pattern[str]]]:
    for side in ("eligible", "chosen"):
        yield side, re.compile(rf"\(Sparsity\)\s*{_COUNTED[side]}(?:\s*:(?P<names>.*))?\.?\s*$", re.IGNORECASE)
        yield side, re.compile(rf"\(Sparsity\)\s*{_LISTED[side]}(?P<names>.*)$", re.IGNORECASE)


_PATTERNS = tuple(_patterns())


def sparsity_lines(lines: Iterable[str]) -> list[SparsityLine]:
    """What a build log says of sparsity, in its order.

    The builder prints a pair of lines, eligible and chosen, once for each of its tactic selections; each pair is one
    entry. A line about sparsity whose wording isn't known is an entry that holds only its text. No entry at all means
    that the log doesn't say, not that no layer is sparse.

    Args:
        lines: the log's messages, of any severity, with or without time and severity before them.
    """
    found: list[SparsityLine] = []
    waiting: int | None = None  # the entry that has its eligible half only
    for line in _single(lines):
        if not _SPEAKS.search(line):
            continue
        side, half = _half(line)
        if side == "chosen" and waiting is not None:
            update = {"chosen": half.chosen, "chosen_names": half.chosen_names}
            found[waiting] = found[waiting].model_copy(update=update)
            waiting = None
            continue
        found.append(half)
        if side == "eligible":
            waiting = len(found) - 1
    return found


def out_of_memory(lines: Iterable[str]) -> list[str]:
    """The lines which say that memory was short, so that a tactic was left out or the build failed.

    A build whose log holds one may succeed all the same, but it chose among fewer tactics than it would have: no
    speed and no sparsity may be concluded from it.
    """
    return [line for line in _single(lines) if _MEMORY.search(line)]


def _single(lines: Iterable[str]) -> Iterator[str]:
    """One line each; not `splitlines`, which also cuts at the separators that layer names may hold."""
    for message in lines:
        yield from (line.strip() for line in message.split("\n"))


def _half(line: str) -> tuple[Side | None, SparsityLine]:
    for side, pattern in _PATTERNS:
        if match := pattern.search(line):
            names = _names(match["names"] or "")
            given = match.groupdict().get("count")
            count = len(names) if given is None else int(given)
            return side, SparsityLine.model_validate({side: count, f"{side}_names": names})
    return None, SparsityLine(text=line)


def _names(text: str) -> list[str]:
    """Split at the commas outside of brackets: a fused layer may be called `PWN(a, b)`."""
    names, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth <= 0:
            names.append(text[start:place])
            start = place + 1
    return [name for part in [*names, text[start:]] if (name := part.strip())]


__all__ = ["out_of_memory", "sparsity_lines"]
