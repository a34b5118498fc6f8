"""The stopwatch: several calls timed in short alternating rounds, so that drift of the machine hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from .intervals import Times
from .rounds import SETTLE, alternate, no_garbage_collection, per_round

Call = Callable[[], object]


class _Lane:
    """One call under the stopwatch; warms it up when made."""

    def __init__(self, call: Call, seconds: float, runs: int, warmup: float) -> None:
        self._call, self._seconds, self._runs = call, seconds, runs
        self._per_round = per_round(_warm(call, warmup), seconds, runs)
        self.rounds: list[Times] = []
        self._counted_ns = self._counted = 0

    def round(self) -> None:
        call, clock, times = self._call, time.perf_counter_ns, []
        _warm(call, SETTLE)
        for _ in range(self._per_round):
            start = clock()
            call()
            times.append(clock() - start)
        self.rounds.append(np.array(times, dtype=np.float64) / 1e6)
        self._counted_ns += sum(times)
        self._counted += len(times)

    def done(self) -> float:
        return min(self._counted_ns / (self._seconds * 1e9), self._counted / self._runs)


def interleaved(
    calls: Mapping[str, Call], *, seconds: float, runs: int, warmup: float, on_progress: Callable[[float], None]
) -> dict[str, list[Times]]:
    """Time each call until every one has both enough runs and enough time.

    In a round each call runs several times in a row, for about the same time; the order of the calls turns round from
    one round to the next. What runs right after a change of calls isn't counted: the caches still hold the other's
    weights, and its waiting threads still spin.
    The garbage collector rests meanwhile.

    Args:
        calls: by name.
        seconds: least counted time of each.
        runs: least counted runs of each.
        warmup: seconds that each runs before, at least once.
        on_progress: told the share that is done, 0 to 1, after each round.

    Returns:
        Milliseconds by name: one array per round.
    """
    lanes = {name: _Lane(call, seconds, runs, warmup) for name, call in calls.items()}
    with no_garbage_collection():
        alternate(list(lanes.values()), on_progress)
    return {name: lane.rounds for name, lane in lanes.items()}


def _warm(call: Call, seconds: float) -> float:
    """Run for a while; seconds of one run, by the median of the later half."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return max(float(np.median(times[len(times) // 2 :])), 1e-7)


__all__ = ["Call", "interleaved"]
