"""The ways in which the arms are timed: by CUDA graph or plain launches, with or without copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..config import GpuProfileConfig, ProfileConfig
from ..cuda.graph import CaptureError, Graph
from ..cuda.stopwatch import Timed, Work, interleaved
from ..cuda.stream import Stream
from .prepared import Prepared

_LESS = 1 / 3  # of the headline's time, for every other mode
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Setting:
    """One way.

    Attributes:
        graph: launch CUDA graphs.
        transfers: copy inputs and outputs in each inference.
    """

    graph: bool
    transfers: bool


def settings(config: GpuProfileConfig, *, capturable: bool) -> list[Setting]:
    """What to measure, the headline first: data on the device, CUDA graphs if they can be captured and are wanted."""
    graphs = {"both": [True, False], "on": [True], "off": [False]}[config.cuda_graph] if capturable else [False]
    return [Setting(graph, False) for graph in graphs] + ([Setting(graphs[0], True)] if config.transfers else [])


def refusal(prepared: Sequence[Prepared]) -> str | None:
    """Why not all of these can be captured as CUDA graphs, in every lane; None if they can.

    Asked before anything is timed, so that no arm is timed with a graph beside one without.
    """
    for one in prepared:
        for lane in range(one.lanes):
            try:
                _try(one, lane)
            except CaptureError as error:
                return error.reason
    return None


def _try(one: Prepared, lane: int) -> None:
    with Stream(lane) as stream:
        one.work.enqueue(stream)  # what a context does only at first can't be captured
        stream.synchronize()
        Graph.capture(one.work.enqueue, stream).close()


def measure(
    prepared: Mapping[str, Sequence[Prepared]], setting: Setting, config: ProfileConfig, on_progress: Progress, *,
    headline: bool, on_warm: Callable[[], object],
) -> dict[str, list[Timed]]:
    """Time all builds of all arms, taking turns.

    Args:
        prepared: the builds of each arm, one batch laid out on the device.
        setting: the way.
        config: time and runs of an arm, which its builds share.
        on_progress: told the share that is done, 0 to 1.
        headline: give it the whole time, others get a third.
        on_warm: called when all builds are warm and nothing is timed yet.

    Raises:
        CudaError: CUDA or TensorRT failed.
    """
    lanes = {(arm, number): one for arm, builds in prepared.items() for number, one in enumerate(builds)}
    part = min(len(builds) for builds in prepared.values())
    timed = interleaved(
        {f"{arm} {number}": _work(one, setting) for (arm, number), one in lanes.items()},
        seconds=config.seconds * (1 if headline else _LESS) / part, runs=math.ceil(config.runs / part),
        warmup=config.warmup, graph=setting.graph, spin=config.gpu.spin, streams=config.gpu.streams,
        on_progress=on_progress, on_warm=on_warm,
    )
    return {arm: [timed[f"{arm} {number}"] for number in range(len(builds))] for arm, builds in prepared.items()}


def _work(one: Prepared, setting: Setting) -> Work:
    return one.work if setting.transfers else Work(one.work.enqueue)


__all__ = ["Progress", "Setting", "measure", "refusal", "settings"]
