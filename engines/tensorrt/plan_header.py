"""What a plan file says of itself to a reader that doesn't load it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"ftrt"
SUFFIXES = (".engine", ".plan", ".trt")
_VERSION = 24  # major, minor and patch, a byte each (NVIDIA/TensorRT issue 3073); undocumented, so checked for sense
_MAJORS = range(8, 20)
_MOST_METADATA = 1 << 20


@dataclass(frozen=True)
class PlanHeader:
    """The first bytes of a file that may be a plan.

    Attributes:
        plan: they are a plan's.
        wrapped: bytes of other metadata before it, as Ultralytics writes them; 0 for a plain plan.
        version: the TensorRT release that they name (`10.13.3`), or None where they name none.
    """

    plan: bool
    wrapped: int = 0
    version: str | None = None


def plan_header(path: Path) -> PlanHeader:
    """Read the header of a file, of which nothing is executed; a file that can't be read has none."""
    try:
        with path.open("rb") as file:
            start = file.read(8 + _MOST_METADATA)
    except OSError:
        return PlanHeader(False)
    wrapped = 0 if start.startswith(MAGIC) else _wrapping(start)
    if wrapped is None:
        return PlanHeader(False)
    return PlanHeader(True, wrapped, _version(start[wrapped:]))


def _wrapping(start: bytes) -> int | None:
    """Four bytes of length, that much JSON, then the plan; None where it is not so."""
    size = int.from_bytes(start[:4], "little")
    if not 0 < size <= _MOST_METADATA or start[4 + size : 8 + size] != MAGIC:
        return None
    try:
        json.loads(start[4 : 4 + size])
    except (ValueError, RecursionError):
        return None
    return 4 + size


def _version(plan: bytes) -> str | None:
    given = plan[_VERSION : _VERSION + 3]
    return ".".join(map(str, given)) if len(given) == 3 and given[0] in _MAJORS else None


__all__ = ["MAGIC", "SUFFIXES", "PlanHeader", "plan_header"]
