"""Short alternating rounds, so that the drift of the machine hits all that is compared. Imports nothing but Python."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

SETTLE = 0.002  # seconds after a change of arms that aren't counted; at least one inference
_ROUNDS = 100  # aimed at in the asked time; slow calls make fewer, but at least _LEAST_ROUNDS
_LEAST_ROUNDS = 12
_LEAST_PER_ROUND = 4
_SHORTEST = 0.005  # seconds of one arm in one round


class Lane(Protocol):
    """One arm under a stopwatch."""

    def round(self) -> None:
        """Run some inferences in a row and keep their times."""

    def done(self) -> float:
        """The share of what was asked for that it has; 1 or more once it has enough."""


def alternate(lanes: Sequence[Lane], on_progress: Callable[[float], None]) -> None:
    """Let the arms run round by round until every one has enough; their order turns round from one to the next.

    Args:
        lanes: the arms.
        on_progress: told the share that is done, 0 to 1, after each round.
    """
    order = list(lanes)
    while (done := min(lane.done() for lane in order)) < 1:
        for lane in order:
            lane.round()
        order.reverse()
        on_progress(done)
    on_progress(1.0)


def per_round(each: float, seconds: float, runs: int) -> int:
    """How many inferences make a round, so that there are enough rounds for an interval and none is too short.

    Args:
        each: seconds of one inference.
        seconds: least counted time of an arm.
        runs: least counted runs of an arm.
    """
    wanted = max(_SHORTEST, seconds / _ROUNDS) / each
    most = max(runs, seconds / each) / _LEAST_ROUNDS
    return max(1, int(min(max(wanted, _LEAST_PER_ROUND), most)))


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """The garbage collector rests meanwhile."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


__all__ = ["SETTLE", "Lane", "alternate", "no_garbage_collection", "per_round"]
