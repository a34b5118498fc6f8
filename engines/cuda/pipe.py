"""One lane of inferences on the device: copy in, compute, copy out, with an event before and after each part."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import NamedTuple

from .api import CudaError
from .graph import Graph
from .stream import Event, Stream

Part = Callable[[Stream], None]
clock = time.perf_counter_ns  # tests put a simulated one here
_DEPTH = 2  # inferences in flight: the next is enqueued before the host waits for the one before, as trtexec does


@dataclass(frozen=True)
class Work:
    """One inference in three parts, each of which puts its work on the stream that it is given and never waits.

    The three get three streams of one lane (`Stream.lane`), which wait for one another. The next inference's upload may
    run while this one computes, and this one's download while the next computes: give the same data every time.

    Attributes:
        enqueue: the computing.
        upload: copies the inputs to the device. Defaults to None: they are there.
        download: copies the outputs to the host. Defaults to None: they stay.
    """

    enqueue: Part
    upload: Part | None = None
    download: Part | None = None


class Sample(NamedTuple):
    """Milliseconds of one inference: three times on the device, and the host's time in the call that enqueues it."""

    upload: float
    compute: float
    download: float
    enqueue: float


class _Span:
    """A part between two events, which are used again and again."""

    def __init__(self, spin: bool, held: ExitStack) -> None:
        self.start, self.end = (held.enter_context(Event(blocking=not spin)) for _ in range(2))

    def put(self, part: Part, stream: Stream) -> float:
        """Enqueue the part; milliseconds that the host took to."""
        self.start.record(stream)
        begin = clock()
        part(stream)
        took = clock() - begin
        self.end.record(stream)
        return took / 1e6

    def ms(self) -> float:
        return self.end.elapsed_ms(self.start)


class _Slot:
    """The events of one inference in flight."""

    def __init__(self, work: Work, spin: bool, held: ExitStack) -> None:
        self.compute = _Span(spin, held)
        self.upload = _Span(spin, held) if work.upload else None
        self.download = _Span(spin, held) if work.download else None
        self.enqueue, self.counted = 0.0, False

    def wait(self) -> None:
        (self.download or self.compute).end.synchronize()

    def sample(self) -> Sample:
        up, down = (span.ms() if span else 0.0 for span in (self.upload, self.download))
        return Sample(up, self.compute.ms(), down, self.enqueue)


class Pipe:
    """Runs inferences one after another, the next enqueued before the host waits for the one before.

    Args:
        work: the inference.
        lane: number of the lane, for its streams.
        spin: the host spins while it waits, instead of sleeping.
        samples: counted inferences are appended here.
        held: releases streams, events and graph, after what is in flight has ended.

    Attributes:
        settled_ns: when the last inference that isn't counted was done, by the host's clock.
        left_ns: when the last inference was done.
    """

    def __init__(self, work: Work, lane: int, spin: bool, samples: list[Sample], held: ExitStack) -> None:
        self._work, self._samples, self._launch = work, samples, work.enqueue
        self._graph: Graph | None = None
        self._compute, self._input, self._output = (
            held.enter_context(Stream(lane)) if part else None for part in (work.enqueue, work.upload, work.download)
        )
        self._free = deque(_Slot(work, spin, held) for _ in range(_DEPTH))
        self._busy: deque[_Slot] = deque()
        self.settled_ns = self.left_ns = clock()
        held.callback(self.launch_plainly)
        held.callback(self._quiet)

    def step(self, counted: bool) -> None:
        """Enqueue one inference, then wait for the one before."""
        self._put(counted)
        if not self._free:
            self._finish()

    def drain(self) -> None:
        """Wait for all that is in flight."""
        while self._busy:
            self._finish()

    def launch_as_graph(self) -> None:
        """Record the computing, and from now on launch the record; nothing may be in flight.

        Raises:
            CaptureError: it can't be recorded.
        """
        assert self._compute is not None
        self._graph = Graph.capture(self._work.enqueue, self._compute)
        self._launch = self._graph.launch

    def launch_plainly(self) -> None:
        """From now on enqueue the computing itself."""
        graph, self._graph, self._launch = self._graph, None, self._work.enqueue
        if graph is not None:
            with suppress(CudaError):
                graph.close()

    def _put(self, counted: bool) -> None:
        slot, work = self._free.popleft(), self._work
        self._busy.append(slot)
        slot.counted = counted
        assert self._compute is not None
        if work.upload and slot.upload and self._input:
            slot.upload.put(work.upload, self._input)
            self._compute.wait(slot.upload.end)
        slot.enqueue = slot.compute.put(self._launch, self._compute)
        if work.download and slot.download and self._output:
            self._output.wait(slot.compute.end)
            slot.download.put(work.download, self._output)

    def _finish(self) -> None:
        slot = self._busy.popleft()
        slot.wait()
        self.left_ns = clock()
        if slot.counted:
            self._samples.append(slot.sample())
        else:
            self.settled_ns = self.left_ns
        self._free.append(slot)

    def _quiet(self) -> None:
        """Before buffers and graph go, let the device finish with them."""
        for stream in (self._input, self._compute, self._output):
            with suppress(CudaError):
                if stream is not None:
                    stream.synchronize()


__all__ = ["Pipe", "Sample", "Work"]
