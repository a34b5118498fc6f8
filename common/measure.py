"""What a piece of work cost: seconds and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/self")


@dataclass
class Cost:
    """Filled when the measured block ends.

    Attributes:
        seconds: wall-clock time.
        peak_memory_bytes: largest resident set of the process during the block; where the system can't reset its
            high-water mark (not Linux), the largest since the process began.
    """

    seconds: float = 0.0
    peak_memory_bytes: int = 0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block."""
    cost = Cost()
    with suppress(OSError):
        (_PROC / "clear_refs").write_text("5")  # 5: reset the peak of the resident set
    start = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        cost.peak_memory_bytes = _peak()


def _peak() -> int:
    with suppress(OSError):
        for line in (_PROC / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


__all__ = ["Cost", "measured"]
