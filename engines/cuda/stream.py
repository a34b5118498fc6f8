"""Streams and events: the order of work on the device, and its times."""

from __future__ import annotations

from .api import call, runtime
from .resource import Resource


class Stream(Resource):
    """A queue of work on the device that doesn't wait for the default stream.

    Attributes:
        lane: which of several parallel lanes of work the stream belongs to; the stopwatch sets it, so that work can
            use one TensorRT context and one set of buffers for each. Defaults to 0.

    Raises:
        CudaError: CUDA can't make one.
    """

    def __init__(self, lane: int = 0) -> None:
        super().__init__(call("cudaStreamCreateWithFlags", runtime().cudaStreamNonBlocking))
        self._handle = int(self._held)
        self.lane = lane

    @classmethod
    def borrowed(cls, handle: int) -> Stream:
        """Someone else's stream, which `close` leaves alone.

        Args:
            handle: CUDA's handle, such as `torch.cuda.current_stream().cuda_stream`; 0 and 1 are the legacy default
                stream, 2 the default stream of the calling thread.
        """
        stream = cls.__new__(cls)
        Resource.__init__(stream, None)
        stream._handle, stream.lane = int(handle), 0
        return stream

    @property
    def handle(self) -> int:
        """CUDA's handle as an integer, as TensorRT and torch take it."""
        return self._handle

    def synchronize(self) -> None:
        """Wait until all that was put on the stream is done.

        Raises:
            CudaError: some of that work failed, or the stream is being captured.
        """
        call("cudaStreamSynchronize", self._handle)

    def wait(self, event: Event) -> None:
        """Work that is put on the stream from now on starts only after the event; the host doesn't wait."""
        call("cudaStreamWaitEvent", self._handle, event.handle, 0)

    def wait_for(self, other: Stream) -> None:
        """Work that is put on the stream from now on starts only after all that is on `other` now.

        Not for a stream that is being captured while the other is not.
        """
        if other.handle != self._handle:
            with Event(timing=False) as event:  # CUDA keeps it for as long as a stream waits for it
                event.record(other)
                self.wait(event)

    def _release(self, held: object) -> None:
        call("cudaStreamDestroy", held)


class Event(Resource):
    """A mark on a stream.

    Args:
        blocking: `synchronize` puts the thread to sleep, else it spins: quicker, for one busy core. Defaults to False.
        timing: it can be asked for times. Defaults to True; an event without is cheaper.
    """

    def __init__(self, blocking: bool = False, timing: bool = True) -> None:
        cuda = runtime()
        flags = cuda.cudaEventBlockingSync if blocking else cuda.cudaEventDefault
        super().__init__(call("cudaEventCreateWithFlags", flags | (0 if timing else cuda.cudaEventDisableTiming)))

    @property
    def handle(self) -> int:
        """CUDA's handle as an integer, as TensorRT and torch take it."""
        return int(self._open)

    def record(self, stream: Stream) -> None:
        """Put the mark behind all that is on the stream now; an earlier mark is forgotten."""
        call("cudaEventRecord", self._open, stream.handle)

    def synchronize(self) -> None:
        """Wait until the stream has passed the mark; at once if it was never recorded."""
        call("cudaEventSynchronize", self._open)

    def elapsed_ms(self, since: Event) -> float:
        """Milliseconds from the mark `since` to this one; the stream has to have passed both.

        Raises:
            CudaError: a mark isn't passed or recorded yet, or doesn't keep times.
        """
        return float(call("cudaEventElapsedTime", since._open, self._open))

    def _release(self, held: object) -> None:
        call("cudaEventDestroy", held)


__all__ = ["Event", "Stream"]
