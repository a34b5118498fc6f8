"""The stopwatch: several calls timed in short alternating rounds, so that drift of the machine hits all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from .statistics import Times

Call = Callable[[], object]
_ROUNDS = 100  # aimed at in the asked time; slow calls make fewer, but at least _LEAST_ROUNDS
_LEAST_ROUNDS = 12
_LEAST_PER_ROUND = 4
_SHORTEST = 0.005  # seconds of one arm in one round
_SETTLE = 0.002  # seconds after a change of arms that aren't counted; at least one inference


@dataclass
class _Lane:
    """One arm under the stopwatch."""

    call: Call
    per_round: int = 1
    rounds: list[Times] = field(default_factory=list)
    nanoseconds: int = 0
    runs: int = 0


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
    lanes = {name: _Lane(call) for name, call in calls.items()}
    for lane in lanes.values():
        lane.per_round = _per_round(_warm(lane.call, warmup), seconds, runs)
    order = list(lanes.values())
    with _no_garbage_collection():
        while (done := min(_share(lane, seconds, runs) for lane in order)) < 1:
            for lane in order:
                _round(lane)
            order.reverse()
            on_progress(done)
    on_progress(1.0)
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


def _per_round(each: float, seconds: float, runs: int) -> int:
    wanted = max(_SHORTEST, seconds / _ROUNDS) / each
    most = max(runs, seconds / each) / _LEAST_ROUNDS
    return max(1, int(min(max(wanted, _LEAST_PER_ROUND), most)))


def _share(lane: _Lane, seconds: float, runs: int) -> float:
    return min(lane.nanoseconds / (seconds * 1e9), lane.runs / runs)


def _round(lane: _Lane) -> None:
    call, clock, times = lane.call, time.perf_counter_ns, []
    _warm(call, _SETTLE)
    for _ in range(lane.per_round):
        start = clock()
        call()
        times.append(clock() - start)
    lane.rounds.append(np.array(times, dtype=np.float64) / 1e6)
    lane.nanoseconds += sum(times)
    lane.runs += len(times)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


__all__ = ["Call", "interleaved"]
