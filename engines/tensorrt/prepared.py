"""One batch laid out on the device, as work for the stopwatch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..cuda.stopwatch import Work
from ..cuda.stream import Stream
from .bound import Bound, Source
from .given import Given
from .lane import Lane


class Prepared:
    """Contexts and memory for one batch; a context manager.

    Args:
        source: engine and all.
        given: the inputs.
        lanes: how many inferences may run side by side.

    Attributes:
        work: the inference in three parts; picks context and memory by `Stream.lane`.
        closed: it was given back.

    Raises:
        OutOfMemoryError: the GPU has no room for it.
        CudaError: CUDA or TensorRT refuses.
    """

    def __init__(self, source: Source, given: Mapping[str, Given], lanes: int = 1) -> None:
        self._lanes: list[tuple[Lane, Bound]] = []
        self.closed = False
        with ExitStack() as held:
            for _ in range(lanes):
                lane = Lane(source)
                held.callback(lane.close)
                bound = lane.place(given)
                lane.bind(bound)
                lane.arrays(bound)  # memory is had now, not under the stopwatch
                lane.upload(bound, lane.stream)
                lane.stream.synchronize()
                self._lanes.append((lane, bound))
            self._held = held.pop_all()
        self.work = Work(self.enqueue, self.upload, self.download)

    @property
    def lanes(self) -> int:
        """How many inferences may run side by side."""
        return len(self._lanes)

    @property
    def context(self) -> Any:
        """The `trt.IExecutionContext` of the first lane, for profilers and listeners."""
        return self._lanes[0][0].context

    def outputs(self, lane: int = 0) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of what the last download brought; the stream has to be synchronized."""
        return {name: value.copy() for name, value in self._lanes[lane][0].arrays(self._lanes[lane][1]).items()}

    def enqueue(self, stream: Stream) -> None:
        """Put the computing on the stream."""
        self._lanes[stream.lane][0].enqueue(stream)

    def upload(self, stream: Stream) -> None:
        """Put the copies of the inputs on the stream."""
        lane, bound = self._lanes[stream.lane]
        lane.upload(bound, stream)

    def download(self, stream: Stream) -> None:
        """Put the copies of the outputs on the stream."""
        lane, bound = self._lanes[stream.lane]
        lane.download(bound, stream)

    def close(self) -> None:
        """Give everything back; a second time does nothing."""
        self.closed = True
        self._held.close()

    def __enter__(self) -> Prepared:
        """Closed at the end of the `with`."""
        return self

    def __exit__(self, *error: object) -> None:
        """See `close`."""
        self.close()


__all__ = ["Prepared"]
