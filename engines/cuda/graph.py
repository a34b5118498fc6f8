"""CUDA graphs: work that is recorded once and launched as one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .api import CudaError, call, runtime
from .resource import Resource
from .stream import Stream


class CaptureError(CudaError):
    """The work can't be made a graph; the stream is as it was before.

    Args:
        reason: why, in a few words.

    Attributes:
        reason: why, in a few words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The work can't be captured as a CUDA graph: {reason}", fix="Run it without a graph.")
        self.reason = reason


class Graph(Resource):
    """Recorded work; made by `Graph.capture`. It reads and writes the addresses that it was recorded with."""

    @classmethod
    def capture(cls, work: Callable[[Stream], None], stream: Stream) -> Graph:
        """Record what the work puts on the stream, without running it.

        The work should have run once before: what it does only at first, such as getting memory, can't be recorded.
        Calls that a graph can't hold, an allocation for example, fail if this thread makes them; other threads are
        free to make them meanwhile (CUDA's thread-local mode).

        Args:
            work: puts work on the stream that it is given, and never waits for it.
            stream: not the default stream, which can't be captured.

        Raises:
            CaptureError: the work raised or can't be captured, or put nothing on the stream.
        """
        recorded = _record(work, stream)
        try:
            if call("cudaGraphGetNodes", recorded)[1] == 0:
                raise CaptureError("it put nothing on the stream that it was given.")
            return cls(call("cudaGraphInstantiate", recorded, 0))
        except CaptureError:
            raise
        except CudaError as error:
            raise CaptureError(error.what) from error
        finally:
            with suppress(CudaError):
                call("cudaGraphDestroy", recorded)

    def launch(self, stream: Stream) -> None:
        """Put the recorded work on a stream; one graph runs only once at a time."""
        call("cudaGraphLaunch", self._open, stream.handle)

    def _release(self, held: object) -> None:
        call("cudaGraphExecDestroy", held)


def _record(work: Callable[[Stream], None], stream: Stream) -> Any:
    """CUDA's recorded graph, not yet one that can be launched."""
    mode = runtime().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    try:
        call("cudaStreamBeginCapture", stream.handle, mode)
        try:
            work(stream)
        except BaseException:
            _abandon(stream)
            raise
        recorded = call("cudaStreamEndCapture", stream.handle)  # ends it even where it says that it was spoilt
    except Exception as error:
        reason = error.what if isinstance(error, CudaError) else f"{type(error).__name__}: {error}"
        raise CaptureError(reason) from error
    if not int(recorded):
        raise CaptureError("CUDA gave no graph.")
    return recorded


def _abandon(stream: Stream) -> None:
    with suppress(CudaError):
        recorded = call("cudaStreamEndCapture", stream.handle)
        if int(recorded):
            call("cudaGraphDestroy", recorded)


__all__ = ["CaptureError", "Graph"]
