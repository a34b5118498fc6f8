"""CUDA graphs of an engine: captured for shapes and addresses that come again, a few kept, each with its own context.

TensorRT forbids touching a context whose graph is still launched, hence a context for each; they share the memory that
they work in, since one of them runs at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass

from ..cuda.api import CudaError
from ..cuda.graph import CaptureError, Graph
from ..cuda.stream import Stream
from .context import Context

KEPT = 4  # graphs of one thread


@dataclass
class _Captured:
    context: Context
    graph: Graph

    def close(self) -> None:
        try:
            self.graph.close()
        finally:
            self.context.close()


class Graphs:
    """Launches what it knows as a graph and captures what comes a second time.

    A first time is only enqueued: a caller whose addresses change from call to call would else pay for a capture with
    every one of them.

    Args:
        make: makes a context.
        own: a stream to capture on, since the caller's may be the default stream.

    Attributes:
        fallback: why no graph is used; None as long as they are.
    """

    def __init__(self, make: Callable[[], Context], own: Stream) -> None:
        self._make, self._own = make, own
        self._captured: OrderedDict[Hashable, _Captured] = OrderedDict()
        self._seen: Hashable = None
        self.fallback: str | None = None

    def run(self, key: Hashable, stream: Stream, bind: Callable[[Context], None], plain: Context) -> None:
        """Put one inference on the stream.

        Args:
            key: all that a graph depends on, shapes and addresses.
            stream: the caller's.
            bind: sets shapes and addresses of a context.
            plain: the context that is used where there is no graph.

        Raises:
            CudaError: TensorRT or CUDA refuses to run it; a graph that can't be had is no error, see `fallback`.
        """
        found = self._captured.get(key)
        if found is not None:
            self._captured.move_to_end(key)
            found.graph.launch(stream)
            return
        bind(plain)
        plain.enqueue(stream)
        if key == self._seen and self.fallback is None:
            self._capture(key, stream, bind)
        self._seen = key

    def _capture(self, key: Hashable, stream: Stream, bind: Callable[[Context], None]) -> None:
        """For the next time. The inference that was just enqueued is waited for: both use the same memory."""
        stream.synchronize()
        context: Context | None = None
        try:
            context = self._make()
            bind(context)
            context.enqueue(self._own)  # what a context does only at first can't be captured
            self._own.synchronize()
            graph = Graph.capture(context.enqueue, self._own)
        except CudaError as error:
            self.fallback = error.reason if isinstance(error, CaptureError) else error.what
            if context is not None:
                context.close()
            return
        self._captured[key] = _Captured(context, graph)
        if len(self._captured) > KEPT:
            self._captured.popitem(last=False)[1].close()

    def close(self) -> None:
        """Give all back; none may still run."""
        with ExitStack() as stack:
            for one in self._captured.values():
                stack.callback(one.close)
            self._captured.clear()


__all__ = ["KEPT", "Graphs"]
