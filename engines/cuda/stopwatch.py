"""The stopwatch on the device: works timed by CUDA events in short alternating rounds, as trtexec times one engine.

The next inference is enqueued before the host waits for the one before. The device therefore never waits for the host,
unless enqueuing takes longer than computing: the times are those of a busy device, and a program that waits after every
call sees the launch on top. With copies, which run beside the computing, throughput can exceed 1 / latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..rounds import SETTLE, alternate, no_garbage_collection, per_round
from . import pipe
from .graph import CaptureError
from .pipe import Pipe, Sample, Work

Times = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Timed:
    """The counted inferences of one work.

    Attributes:
        compute: milliseconds on the device, one array per round.
        upload: likewise; zeros without an upload.
        download: likewise; zeros without a download.
        enqueue: milliseconds of the host in the call that enqueues the computing or launches its graph.
        latency: upload + compute + download, without what an inference waits between them.
        seconds: of the host's clock, from the end of the last inference before the counted ones to the end of the last
            of them, over all rounds: `runs / seconds` is the throughput.
        runs: counted inferences, of all streams together.
        graph: the computing was launched as a CUDA graph.
        fallback: why it wasn't, though asked for.
    """

    compute: list[Times] = field(default_factory=list)
    upload: list[Times] = field(default_factory=list)
    download: list[Times] = field(default_factory=list)
    enqueue: list[Times] = field(default_factory=list)
    latency: list[Times] = field(default_factory=list)
    seconds: float = 0.0
    runs: int = 0
    graph: bool = False
    fallback: str | None = None

    def add(self, samples: list[Sample], seconds: float) -> None:
        """Append a round."""
        upload, compute, download, enqueue = np.array(samples, dtype=np.float64).T.copy()
        self.upload.append(upload)
        self.compute.append(compute)
        self.download.append(download)
        self.enqueue.append(enqueue)
        self.latency.append(upload + compute + download)
        self.seconds += seconds
        self.runs += len(samples)


@dataclass(frozen=True)
class _Asked:
    """What the caller asked for; see `interleaved`."""

    seconds: float
    runs: int
    warmup: float
    graph: bool
    spin: bool
    streams: int


class _Arm:
    """One work under the stopwatch; runs it once, captures it and warms it up when made."""

    def __init__(self, work: Work, asked: _Asked, held: ExitStack) -> None:
        self.timed, self._asked, self._samples = Timed(), asked, list[Sample]()
        self._pipes = [Pipe(work, lane, asked.spin, self._samples, held) for lane in range(asked.streams)]
        self._warm(0)
        if asked.graph:
            self._capture()
        each = self._warm(asked.warmup)
        self._rows = max(1, per_round(each, asked.seconds, asked.runs) // asked.streams)

    def round(self) -> None:
        self._run_for(SETTLE)
        for _ in range(self._rows):
            self._row(counted=True)
        self._drain()
        took = max(one.left_ns for one in self._pipes) - max(one.settled_ns for one in self._pipes)
        self.timed.add(self._samples, took / 1e9)
        self._samples.clear()

    def done(self) -> float:
        return min(self.timed.seconds / self._asked.seconds, self.timed.runs / self._asked.runs)

    def _row(self, counted: bool) -> None:
        for one in self._pipes:
            one.step(counted)

    def _drain(self) -> None:
        for one in self._pipes:
            one.drain()

    def _warm(self, seconds: float) -> float:
        """Run for a while and wait for the end; seconds of one inference."""
        start = pipe.clock()
        count = self._run_for(seconds)
        self._drain()
        return max(pipe.clock() - start, 100) / 1e9 / count

    def _run_for(self, seconds: float) -> int:
        """Run uncounted inferences, at least one on each lane; how many were enqueued."""
        start, count = pipe.clock(), 0
        while not count or pipe.clock() - start < seconds * 1e9:
            self._row(counted=False)
            count += len(self._pipes)
        return count

    def _capture(self) -> None:
        try:
            for one in self._pipes:
                one.launch_as_graph()
            self.timed.graph = True
        except CaptureError as error:
            self.timed.fallback = error.reason
            for one in self._pipes:
                one.launch_plainly()


def interleaved(
    works: Mapping[str, Work], *, seconds: float, runs: int, warmup: float, graph: bool, spin: bool, streams: int,
    on_progress: Callable[[float], None], on_warm: Callable[[], object] | None = None,
) -> dict[str, Timed]:
    """Time each work until every one has both enough runs and enough time.

    In a round each work runs several times in a row, for about the same time; the order of the works turns round from
    one round to the next. What runs right after a change of works isn't counted. The garbage collector rests meanwhile.

    Args:
        works: by name.
        seconds: least counted time of each.
        runs: least counted runs of each.
        warmup: seconds that each runs before, at least once.
        graph: launch the computing as a CUDA graph, captured after a first run; a work that can't be captured is
            enqueued as it is, and says why.
        spin: the host spins while it waits for the device, instead of sleeping: less delay, one busy core.
        streams: how many inferences of a work run side by side, each on a lane of its own. With more than 1 the works
            have to use another context and other buffers for each `Stream.lane`, and a latency says little.
        on_progress: told the share that is done, 0 to 1, after each round.
        on_warm: called when all works are warm and nothing is timed yet. Defaults to nothing.

    Raises:
        CudaError: CUDA refused something, or work on the device failed. All is released, as it is after any error
            that a work raises.
    """
    asked = _Asked(seconds, runs, warmup, graph, spin, streams)
    with ExitStack() as held, no_garbage_collection():
        arms = {name: _Arm(work, asked, held) for name, work in works.items()}
        if on_warm is not None:
            on_warm()
        alternate(list(arms.values()), on_progress)
        return {name: arm.timed for name, arm in arms.items()}


__all__ = ["Timed", "Work", "interleaved"]
