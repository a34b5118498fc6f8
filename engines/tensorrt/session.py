"""Loaded engines under the stopwatch: every batch in every way, as figures and ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from ...common import console
from ..backend import Arrays
from ..config import ProfileConfig
from ..cuda.nvml import snapshot
from ..cuda.stopwatch import Timed
from ..profile import PER_BATCH
from ..records import Latency, Mode, Ratio
from .figures import arm_latency
from .modes import Setting, measure, refusal, settings
from .noise import build_ratio
from .prepared import Prepared
from .runner import TensorRTRunner

Inputs = Callable[[int], Arrays]
Arms = Mapping[str, Sequence[TensorRTRunner]]


@dataclass
class Measured:
    """What a session found.

    Attributes:
        latencies: of every arm at every batch size, in the way that is the headline.
        ratios: the first arm against each of the others.
        others: the other ways.
        refusals: why CUDA graphs, though asked for, were not used, by batch size.
        before: the GPU once all arms were warm, before anything was timed.
        after: the GPU right after the last inference.
    """

    latencies: list[Latency] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    others: list[Mode] = field(default_factory=list)
    refusals: dict[int, str] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def look_before(self) -> None:
        """At the GPU, for the first time that it is warm."""
        self.before = self.before or snapshot()


def run_session(arms: Arms, inputs: Inputs, config: ProfileConfig) -> Measured:
    """Time all arms at all batch sizes.

    Args:
        arms: the loaded builds of each arm, by name; the first is compared with each of the others.
        inputs: makes the inputs for a batch size.
        config: batch sizes, time, runs and ways.

    Raises:
        UserError: an engine doesn't take a batch size.
        CudaError: CUDA or TensorRT failed, or memory is short.
    """
    found, most = Measured(), len(settings(config.gpu, capturable=True))
    others: dict[Setting, list[_Times]] = {}
    with console.progress("profile", PER_BATCH * most * len(config.batch), still=True) as advance:
        for batch in config.batch:
            first, *rest = _batch(arms, inputs(batch), batch, config, found, advance)
            found.latencies += first.latencies
            found.ratios += first.ratios
            for times in rest:
                others.setdefault(times.way, []).append(times)
            advance(PER_BATCH * (most - 1 - len(rest)))
    found.others = [_mode(way, times) for way, times in others.items()]
    return found


@dataclass(frozen=True)
class _Times:
    """All arms at one batch size in one way."""

    way: Setting
    latencies: list[Latency]
    ratios: list[Ratio]


def _batch(
    arms: Arms, inputs: Arrays, batch: int, config: ProfileConfig, found: Measured,
    advance: Callable[[int], None],
) -> list[_Times]:
    """One batch size, the headline first."""
    with ExitStack() as held:
        prepared = {arm: [held.enter_context(runner.prepare(inputs, config.gpu.streams)) for runner in runners]
                    for arm, runners in arms.items()}
        ways = _ways(prepared, batch, config, found)
        return [_timed(prepared, way, batch, config, found, advance, headline=way == ways[0]) for way in ways]


def _timed(
    prepared: Mapping[str, Sequence[Prepared]], way: Setting, batch: int, config: ProfileConfig, found: Measured,
    advance: Callable[[int], None], *, headline: bool,
) -> _Times:
    timed = measure(prepared, way, config, _Steps(advance), headline=headline, on_warm=found.look_before)
    found.after = snapshot()  # of the last way it stays: what follows is no work for the GPU
    latencies = [arm_latency(arm, batch, builds, transfers=way.transfers) for arm, builds in timed.items()]
    return _Times(way, latencies, _ratios(timed, batch))


def _mode(way: Setting, times: Sequence[_Times]) -> Mode:
    return Mode(cuda_graph=way.graph, transfers=way.transfers, latencies=[one for t in times for one in t.latencies],
                ratios=[one for t in times for one in t.ratios])


def _ways(
    prepared: Mapping[str, Sequence[Prepared]], batch: int, config: ProfileConfig, found: Measured
) -> list[Setting]:
    """Those that are left once it is known whether every arm can be captured at this batch size."""
    reason = refusal([one for builds in prepared.values() for one in builds])
    if reason is not None and config.gpu.cuda_graph != "off":
        found.refusals[batch] = reason
    return settings(config.gpu, capturable=reason is None)


def _ratios(timed: Mapping[str, Sequence[Timed]], batch: int) -> list[Ratio]:
    rounds = {arm: [build.latency for build in builds] for arm, builds in timed.items()}
    first, *others = rounds
    return [build_ratio(first, other, batch, rounds) for other in others]


class _Steps:
    """Turns the share that is done into steps of the bar."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._told = advance, 0

    def __call__(self, share: float) -> None:
        steps = int(PER_BATCH * share) - self._told
        if steps:
            self._advance(steps)
        self._told += steps


__all__ = ["Arms", "Inputs", "Measured", "run_session"]
