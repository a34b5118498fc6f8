"""All that one thread needs to run an engine: a stream, an execution context, the memory, and CUDA graphs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np

from ..cuda.api import CudaError, call
from ..cuda.memory import DeviceBuffer, download, upload
from ..cuda.stream import Event, Stream
from ..cuda.view import View
from .bound import Bound, Source
from .buffers import Array, Buffers, size_of
from .context import Context
from .given import Given
from .graphs import Graphs
from .output import DeviceOutput

_DEFAULT = Stream.borrowed(1)  # the legacy default stream, where torch works unless told otherwise


class Lane:
    """Runs one inference at a time.

    Args:
        source: engine and all.
        cuda_graph: launch inferences whose shapes and addresses come again as CUDA graphs.

    Raises:
        OutOfMemoryError: the GPU has no room for another context.
        CudaError: CUDA or TensorRT refuses.
    """

    def __init__(self, source: Source, cuda_graph: bool = False) -> None:
        self._source = source
        with ExitStack() as held:
            call("cudaSetDevice", source.device)  # a new thread begins on the first GPU
            self.stream = held.enter_context(Stream())
            self._done = held.enter_context(Event(timing=False))
            self._buffers = Buffers()
            held.callback(self._buffers.close)
            self._scratch = held.enter_context(DeviceBuffer(int(source.engine.device_memory_size_v2)))
            self._context = self._make()
            held.callback(self._context.close)
            on_host = [name for name, port in source.ports.inputs.items() if port.on_host]
            self._graphs = Graphs(self._make, self.stream) if cuda_graph else None
            if self._graphs is not None:
                held.callback(self._graphs.close)
                if on_host:
                    self._graphs.fallback = f"the input {on_host[0]!r} is read by the host"
            held.callback(self._quiet)
            self._held = held.pop_all()
        self._used: int | None = None  # handle of the stream that the last inference was put on

    @property
    def graph_fallback(self) -> str | None:
        """Why no CUDA graph is used, though asked for."""
        return self._graphs.fallback if self._graphs is not None else None

    def infer(self, given: Mapping[str, Given], theirs: Stream | None) -> dict[str, Array | DeviceOutput]:
        """One inference; see `TensorRTRunner.infer`."""
        stream = theirs or self.stream
        stay = all(isinstance(value, View) for value in given.values())
        try:
            self._order(given, stream, theirs is None)
            bound = self.place(given)
            self.upload(bound, stream)
            self._enqueue(bound, stream)
            for value in given.values():
                if isinstance(value, View):
                    value.release(stream)
            answer = self._staying(bound, theirs) if stay else self._coming(bound, stream)
            if theirs is None or not stay:
                stream.synchronize()
            else:
                self._done.record(stream)
                self._used = stream.handle
        except BaseException:
            self._wait(stream)
            raise
        return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in answer.items()}

    def _order(self, given: Mapping[str, Given], stream: Stream, ours: bool) -> None:
        """Let the stream wait for the inputs, and for an inference that still uses the buffers."""
        if self._used is not None and self._used != stream.handle:
            stream.wait(self._done)
        self._used = None
        views = [value for value in given.values() if isinstance(value, View)]
        for value in views:
            value.acquire(stream)
        if ours and any(value.stream is None for value in views):
            stream.wait_for(_DEFAULT)

    def place(self, given: Mapping[str, Given]) -> Bound:
        """Find memory for all tensors, copy the host's inputs to where they can be uploaded from, infer all shapes."""
        ports, buffers = self._source.ports, self._buffers
        uploads: dict[str, tuple[int, Array]] = {}
        addresses: dict[str, int] = {}
        for name, value in given.items():
            if isinstance(value, View):
                addresses[name] = value.address or buffers.device(name, 0)
                continue
            port = ports.inputs[name]
            staged = buffers.host(name, port.dtype, value.shape)
            np.copyto(staged, value)
            addresses[name] = staged.ctypes.data if port.on_host else buffers.device(name, staged.nbytes)
            if not port.on_host:
                uploads[name] = addresses[name], staged
        shapes = {name: tuple(value.shape) for name, value in given.items()}
        self._context.bind(addresses)
        outputs = self._context.shape(shapes)
        for name, shape in outputs.items():
            port = ports.outputs[name]
            addresses[name] = (
                buffers.host(name, port.dtype, shape).ctypes.data if port.on_host
                else buffers.device(name, size_of(port.dtype, shape))
            )
        return Bound(shapes, addresses, uploads, outputs)

    def bind(self, bound: Bound) -> None:
        """Set the lane's own context to it."""
        bound.set(self._context)

    def enqueue(self, stream: Stream) -> None:
        """Put an inference of what was bound on the stream, never as a graph."""
        self._context.enqueue(stream)

    @property
    def context(self) -> Any:
        """The `trt.IExecutionContext` that runs where there is no graph."""
        return self._context.raw

    def _enqueue(self, bound: Bound, stream: Stream) -> None:
        if self._graphs is None or self._graphs.fallback is not None:
            bound.set(self._context)
            self._context.enqueue(stream)
        else:
            self._graphs.run(bound.key, stream, bound.set, self._context)

    def upload(self, bound: Bound, stream: Stream) -> None:
        """Put the copies of the host's inputs on the stream."""
        for address, array in bound.uploads.values():
            upload(address, array, stream)

    def download(self, bound: Bound, stream: Stream) -> None:
        """Put the copies of the outputs to page-locked memory on the stream."""
        self._coming(bound, stream)

    def arrays(self, bound: Bound) -> dict[str, Array]:
        """The page-locked memory that outputs are copied to."""
        ports = self._source.ports.outputs
        return {name: self._buffers.host(name, ports[name].dtype, shape) for name, shape in bound.outputs.items()}

    def _coming(self, bound: Bound, stream: Stream) -> dict[str, Array | DeviceOutput]:
        found: dict[str, Array | DeviceOutput] = {}
        for name, array in self.arrays(bound).items():
            if not self._source.ports.outputs[name].on_host:
                download(array, bound.addresses[name], stream)
            found[name] = array
        return found

    def _staying(self, bound: Bound, theirs: Stream | None) -> dict[str, Array | DeviceOutput]:
        handle = theirs.handle if theirs is not None else None
        ports = self._source.ports.outputs
        return {
            name: self._buffers.host(name, ports[name].dtype, shape) if ports[name].on_host
            else DeviceOutput(bound.addresses[name], ports[name].dtype, shape, handle, self)
            for name, shape in bound.outputs.items()
        }

    def _make(self) -> Context:
        source = self._source
        with source.making:
            return Context(source.engine, source.ports, self._scratch.address, source.profile, self.stream,
                           source.complaints)

    def _wait(self, stream: Stream) -> None:
        """After an error: let what is on the stream end, since it uses the buffers."""
        with suppress(CudaError):
            stream.synchronize()

    def _quiet(self) -> None:
        if self._used is not None:
            with suppress(CudaError):
                self._done.synchronize()
        self._wait(self.stream)

    def close(self) -> None:
        """Wait for what runs, and give everything back; a second time does nothing."""
        self._held.close()


__all__ = ["Lane"]
