"""A simulated CUDA runtime: what `cuda.bindings.runtime` does, without a GPU.

From any test, below any folder of tests/:

    simulated = load("engines/cuda/simulated.py")     # `load` is a fixture of tests/conftest.py
    cuda = simulated.install(monkeypatch)              # a Simulated; engines.cuda now calls it
    ...
    cuda.assert_released()

- Every call is checked: the real module has the function, the arguments fit its signature and have its types, a handle
  is one that was given out and not yet destroyed, a copy stays within its allocation. Constants, enums and structs are
  the real ones. A function that is not simulated raises AttributeError.
- Memory of the device is memory of the host, at real addresses: `cuda.bytes_at(address, n)` is a NumPy view of it.
  New memory is filled with 0xA5, and writing past the end of an allocation is noticed when it is freed.
- A "kernel" is put on a stream by `cuda.launch(stream_handle, work, milliseconds)`: `work()` is called, and simulated
  time passes on that stream. The host has a simulated clock too (`cuda.clock_ns`): each call costs `cuda.call_ns`,
  waiting for the device costs what is left of the device's time. The stopwatch of engines/cuda uses this clock, so
  that its figures can be foretold; give its kernels a millisecond or so, or it takes thousands to fill a second.
- Streams run at once. With `cuda.lazy = True` work and copies happen only when the host waits for them (or when another
  stream that waits for them is run), and page-locked memory that is being downloaded to holds 0xCD until then: missing
  synchronization shows.
- `cuda.fail("cudaMalloc", at=2)` makes the second such call from now on fail, with any error by name; `times=None`: all
  from then on. An error stays the "last error" until it is asked for.
- `cuda.alive()` counts what is still allocated, by kind; `cuda.counts` how often each function was called.
- `cuda.devices`, `cuda.driver`, `cuda.memory_bytes` describe the machine.
"""

from __future__ import annotations

import ctypes
import inspect
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cuda.bindings.runtime as real
import numpy as np

FRESH, COMING, GUARD, GUARD_BYTES = 0xA5, 0xCD, 0x5A, 64
_FILLED = 1 << 22  # bytes of an allocation that are filled; filling gigabytes would take its time
_ANYWHERE = {0, 1, 2}  # default streams


class RefusedError(Exception):
    """A call ends with this error code."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.code = getattr(real.cudaError_t, name)


@dataclass
class _Memory:
    kind: str
    address: int
    size: int
    block: np.ndarray


@dataclass
class _Event:
    flags: int
    time: int | None = None  # ns of the simulated clock; None: never recorded
    pending: Any = None  # the operation after which it is passed, while that waits to be run
    captured: Any = None


@dataclass
class _Graph:
    nodes: list[tuple[Callable[[], None], int]] = field(default_factory=list)
    spoilt: bool = False


@dataclass(eq=False)
class _Operation:
    stream: _Stream
    work: Callable[[], None]
    done: bool = False


@dataclass(eq=False)
class _Stream:
    ready: int = 0  # ns of the simulated clock at which all that is on it is done
    queue: deque[_Operation] = field(default_factory=deque)
    capture: _Graph | None = None
    thread: int = 0


@cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(getattr(real, name))


class Simulated:
    """Stands for the module `cuda.bindings.runtime`."""

    def __init__(self) -> None:
        self.lazy, self.call_ns, self.clock = False, 1000, 0
        self.driver, self.memory_bytes, self.uuid = real.cudaRuntimeGetVersion()[1], 8 << 30, bytes(range(16))
        self.devices = ["NVIDIA Simulated GPU"]
        self.compute_capability, self.multiprocessors, self.integrated = (9, 0), 132, False
        self.counts: Counter[str] = Counter()
        self.last_error = real.cudaError_t.cudaSuccess
        self._failures: list[list[Any]] = []
        self._next = 0x5000
        self._streams: dict[int, _Stream] = {handle: _Stream() for handle in _ANYWHERE}
        self._left: list[_Stream] = []  # destroyed with work on them
        self._events: dict[int, _Event] = {}
        self._graphs: dict[int, _Graph] = {}
        self._executables: dict[int, _Graph] = {}
        self._memory: dict[int, _Memory] = {}
        self._lock = threading.RLock()

    # what a test uses

    def clock_ns(self) -> int:
        """The host's simulated clock; looking at it takes no time."""
        return self.clock

    def launch(self, stream: Any, work: Callable[[], None] | None = None, milliseconds: float = 0.0) -> None:
        """Put a kernel on a stream (a handle, or an object with `handle`), as a library below cudart would."""
        with self._lock:
            self.clock += self.call_ns
            queue = self._stream(getattr(stream, "handle", stream))
            self._put(queue, work or (lambda: None), round(milliseconds * 1e6))

    def fail(self, name: str, *, at: int = 1, error: str = "cudaErrorMemoryAllocation", times: int | None = 1) -> None:
        """Let the `at`-th call of a function from now on fail, and the ones after it up to `times` (None: all)."""
        assert hasattr(real, name), name
        self._failures.append([name, at, getattr(real.cudaError_t, error), times])

    def bytes_at(self, address: int, size: int) -> np.ndarray:
        """Memory of the device as bytes; checked to be one live allocation."""
        self._inside(address, size)
        return np.frombuffer((ctypes.c_ubyte * size).from_address(address), np.uint8)

    def alive(self) -> dict[str, int]:
        """How much is allocated still, by kind; kinds of which there is nothing are left out."""
        counted = Counter(memory.kind for memory in self._memory.values())
        counted.update(
            streams=len(self._streams) - len(_ANYWHERE), events=len(self._events), graphs=len(self._graphs),
            executables=len(self._executables), captures=sum(bool(one.capture) for one in self._streams.values()),
        )
        return {kind: number for kind, number in counted.items() if number}

    def assert_released(self) -> None:
        assert self.alive() == {}, f"not released: {self.alive()}"

    # the module

    def __getattr__(self, name: str) -> Any:
        value = getattr(real, name)
        if not (callable(value) and not inspect.isclass(value)):
            return value
        if (handler := getattr(type(self), f"_{name}", None)) is None:
            raise AttributeError(f"{name} is not simulated: add it to {__file__}")
        return lambda *args, **kwargs: self._call(name, handler, args, kwargs)

    def _call(self, name: str, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        bound = _signature(name).bind(*args, **kwargs)
        for key, value in bound.arguments.items():
            _check(name, key, value, _signature(name).parameters[key].annotation)
        with self._lock:
            self.clock += self.call_ns
            self.counts[name] += 1
            number = _results(name)
            try:
                self._fail_if_told(name)
                answer = handler(self, **bound.arguments)
            except RefusedError as refused:
                if name != "cudaGetLastError":
                    self.last_error = refused.code
                return (refused.code, *[None] * number)
        values = () if number == 0 else answer if number > 1 else (answer,)
        assert len(values) == number, name
        return (real.cudaError_t.cudaSuccess, *values)

    def _fail_if_told(self, name: str) -> None:
        for failure in [one for one in self._failures if one[0] == name]:
            failure[1] -= 1
            if failure[1] < 1 and (failure[3] is None or failure[1] > -failure[3]):
                if name == "cudaStreamEndCapture":
                    for stream in self._streams.values():
                        stream.capture = None
                raise RefusedError(failure[2].name)

    def _handle(self) -> int:
        self._next += 16
        return self._next

    # device and driver

    def _cudaGetDeviceCount(self) -> int:  # noqa: N802
        if not self.devices:
            raise RefusedError("cudaErrorNoDevice")
        return len(self.devices)

    def _cudaDriverGetVersion(self) -> int:  # noqa: N802
        return self.driver

    def _cudaRuntimeGetVersion(self) -> int:  # noqa: N802
        return real.cudaRuntimeGetVersion()[1]

    def _cudaGetDevice(self) -> int:  # noqa: N802
        return 0

    def _cudaSetDevice(self, device: int) -> None:  # noqa: N802
        self._known_device(device)

    def _cudaGetDeviceProperties(self, device: int) -> Any:  # noqa: N802
        self._known_device(device)
        facts, uuid = real.cudaDeviceProp(), real.cudaUUID_t()
        ctypes.memmove(uuid.getPtr(), self.uuid, 16)
        facts.name, facts.uuid = self.devices[device].encode().ljust(256, b"\0"), uuid
        facts.major, facts.minor = self.compute_capability
        facts.totalGlobalMem, facts.multiProcessorCount = self.memory_bytes, self.multiprocessors
        facts.integrated = int(self.integrated)
        return facts

    def _cudaDeviceGetPCIBusId(self, length: int, device: int) -> bytes:  # noqa: N802
        self._known_device(device)
        return f"0000:{device + 1:02X}:00.0".encode().ljust(length, b"\0")

    def _known_device(self, device: int) -> None:
        if device not in range(len(self.devices)):
            raise RefusedError("cudaErrorInvalidDevice")

    def _cudaGetErrorName(self, error: Any) -> bytes:  # noqa: N802
        return error.name.encode()

    def _cudaGetErrorString(self, error: Any) -> bytes:  # noqa: N802
        return f"simulated {error.name}".encode()

    def _cudaGetLastError(self) -> None:  # noqa: N802
        error, self.last_error = self.last_error, real.cudaError_t.cudaSuccess
        if error != real.cudaError_t.cudaSuccess:
            raise RefusedError(error.name)

    def _cudaDeviceSynchronize(self) -> None:  # noqa: N802
        self._not_while_capturing()
        self._drain_all()

    # memory

    def _cudaMalloc(self, size: int) -> int:  # noqa: N802
        self._not_while_capturing()
        if size > self._free():
            raise RefusedError("cudaErrorMemoryAllocation")
        return self._allocate("device memory", size) if size else 0

    def _cudaHostAlloc(self, size: int, flags: int) -> int:  # noqa: N802
        self._not_while_capturing()
        return self._allocate("pinned memory", size)

    def _cudaFree(self, devPtr: int) -> None:  # noqa: N802, N803
        self._give_back("device memory", devPtr)

    def _cudaFreeHost(self, ptr: int) -> None:  # noqa: N802
        self._give_back("pinned memory", ptr)

    def _cudaMemGetInfo(self) -> tuple[int, int]:  # noqa: N802
        return self._free(), self.memory_bytes

    def _cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: Any, stream: Any) -> None:  # noqa: N802
        down, up = kind.name.endswith("DeviceToHost"), kind.name.endswith("HostToDevice")
        assert down or up or kind.name.endswith("DeviceToDevice"), f"{kind.name} is not simulated"
        for address, host in ((dst, down), (src, up)):
            if not host:
                self._inside(address, count, "device memory")
        queue = self._stream(stream)
        pinned = self._find(dst if down else src, "pinned memory")
        if up and not pinned and not queue.capture:  # CUDA stages what is not page-locked before it returns
            staged = ctypes.string_at(src, count)
            self._put(queue, lambda: ctypes.memmove(dst, staged, count))
            return
        if down and pinned and self.lazy and not queue.capture:
            ctypes.memset(dst, COMING, count)
        self._put(queue, lambda: ctypes.memmove(dst, src, count) and None)
        if down and not pinned and not queue.capture:
            self._wait(queue)

    def _cudaMemsetAsync(self, devPtr: int, value: int, count: int, stream: Any) -> None:  # noqa: N802, N803
        self._inside(devPtr, count, "device memory")
        self._put(self._stream(stream), lambda: ctypes.memset(devPtr, value, count) and None)

    def _free(self) -> int:
        return self.memory_bytes - sum(one.size for one in self._memory.values() if one.kind == "device memory")

    def _allocate(self, kind: str, size: int) -> int:
        block = np.empty(size + GUARD_BYTES + 256, np.uint8)
        start = -block.ctypes.data % 256
        block[start : start + min(size, _FILLED)] = FRESH
        block[start + size : start + size + GUARD_BYTES] = GUARD
        address = block.ctypes.data + start
        self._memory[address] = _Memory(kind, address, size, block)
        return address

    def _give_back(self, kind: str, address: int) -> None:
        self._not_while_capturing()
        if address == 0:
            return
        memory = self._memory.get(address)
        if memory is None or memory.kind != kind:
            raise RefusedError("cudaErrorInvalidValue")
        self._drain_all()  # freeing waits for the device
        end = address - memory.block.ctypes.data + memory.size
        assert (memory.block[end : end + GUARD_BYTES] == GUARD).all(), "something wrote past the end of an allocation"
        del self._memory[address]

    def _find(self, address: int, kind: str | None = None) -> _Memory | None:
        for one in self._memory.values():
            if one.address <= address < one.address + one.size and kind in (None, one.kind):
                return one
        return None

    def _inside(self, address: int, size: int, kind: str | None = None) -> None:
        memory = self._find(address, kind)
        if memory is None or address + size > memory.address + memory.size:
            raise RefusedError("cudaErrorInvalidValue")

    # streams

    def _cudaStreamCreateWithFlags(self, flags: int) -> Any:  # noqa: N802
        handle = self._handle()
        self._streams[handle] = _Stream(ready=self.clock)
        return real.cudaStream_t(handle)

    def _cudaStreamDestroy(self, stream: Any) -> None:  # noqa: N802
        found = self._stream(stream)
        if int(stream) in _ANYWHERE:
            raise RefusedError("cudaErrorInvalidResourceHandle")
        self._left.append(found)  # CUDA doesn't wait: what is on it is done some time later
        del self._streams[int(stream)]

    def _cudaStreamSynchronize(self, stream: Any) -> None:  # noqa: N802
        self._wait(self._idle(stream))

    def _cudaStreamQuery(self, stream: Any) -> None:  # noqa: N802
        found = self._idle(stream)
        if found.ready > self.clock:
            raise RefusedError("cudaErrorNotReady")
        self._run(found)

    def _cudaStreamWaitEvent(self, stream: Any, event: Any, flags: int) -> None:  # noqa: N802
        queue, mark = self._stream(stream), self._event(event)
        pending, time = mark.pending, mark.time
        if queue.capture and time is not None:
            self._spoil(queue, "cudaErrorStreamCaptureIsolation")
        if mark.captured is not None and mark.captured is not queue.capture:
            raise NotImplementedError("A capture that spreads to another stream is not simulated.")
        if time is None:
            return
        if pending is not None and not pending.done:
            self._put(queue, lambda: self._run_to(pending))
        queue.ready = max(queue.ready, time)

    def _stream(self, stream: Any) -> _Stream:
        handle = int(stream) if stream is not None else 0
        if handle not in self._streams:
            raise RefusedError("cudaErrorInvalidResourceHandle")
        return self._streams[handle]

    def _idle(self, stream: Any) -> _Stream:
        """The stream, which must not be captured."""
        found = self._stream(stream)
        if found.capture:
            self._spoil(found, "cudaErrorStreamCaptureUnsupported")
        return found

    def _put(self, queue: _Stream, work: Callable[[], None], nanoseconds: int = 0) -> None:
        if queue.capture:
            queue.capture.nodes.append((work, nanoseconds))
            return
        queue.ready = max(queue.ready, self.clock) + nanoseconds
        queue.queue.append(_Operation(queue, work))
        if not self.lazy:
            self._run(queue)

    def _run(self, queue: _Stream) -> None:
        while queue.queue:
            operation = queue.queue.popleft()
            operation.done = True
            operation.work()

    def _run_to(self, operation: _Operation) -> None:
        while not operation.done:
            first = operation.stream.queue.popleft()
            first.done = True
            first.work()

    def _wait(self, queue: _Stream) -> None:
        self._run(queue)
        self.clock = max(self.clock, queue.ready)

    def _drain_all(self) -> None:
        for queue in [*self._left, *self._streams.values()]:
            self._wait(queue)
        self._left.clear()

    # events

    def _cudaEventCreateWithFlags(self, flags: int) -> Any:  # noqa: N802
        handle = self._handle()
        self._events[handle] = _Event(flags)
        return real.cudaEvent_t(handle)

    def _cudaEventDestroy(self, event: Any) -> None:  # noqa: N802
        self._event(event)
        del self._events[int(event)]

    def _cudaEventRecord(self, event: Any, stream: Any) -> None:  # noqa: N802
        mark, queue = self._event(event), self._stream(stream)
        mark.captured, mark.pending, mark.time = queue.capture, None, None
        if not queue.capture:
            queue.ready = mark.time = max(queue.ready, self.clock)
            mark.pending = queue.queue[-1] if queue.queue else None

    def _cudaEventSynchronize(self, event: Any) -> None:  # noqa: N802
        mark = self._event(event)
        if mark.captured:
            raise RefusedError("cudaErrorCapturedEvent")
        if mark.time is not None:
            self._pass(mark)
            self.clock = max(self.clock, mark.time)

    def _cudaEventQuery(self, event: Any) -> None:  # noqa: N802
        mark = self._event(event)
        if mark.time is not None and mark.time > self.clock:
            raise RefusedError("cudaErrorNotReady")
        self._pass(mark)

    def _cudaEventElapsedTime(self, start: Any, end: Any) -> float:  # noqa: N802
        marks = self._event(start), self._event(end)
        if any(mark.flags & real.cudaEventDisableTiming or mark.time is None for mark in marks):
            raise RefusedError("cudaErrorInvalidResourceHandle")
        if any(mark.time > self.clock for mark in marks):
            raise RefusedError("cudaErrorNotReady")
        return (marks[1].time - marks[0].time) / 1e6

    def _event(self, event: Any) -> _Event:
        if int(event) not in self._events:
            raise RefusedError("cudaErrorInvalidResourceHandle")
        return self._events[int(event)]

    def _pass(self, mark: _Event) -> None:
        if mark.pending is not None:
            self._run_to(mark.pending)

    # graphs

    def _cudaStreamBeginCapture(self, stream: Any, mode: Any) -> None:  # noqa: N802
        queue = self._stream(stream)
        assert mode.name.endswith("ThreadLocal"), f"{mode.name} is not simulated"
        if int(stream) in (0, 1):
            raise RefusedError("cudaErrorStreamCaptureUnsupported")
        if queue.capture:
            raise RefusedError("cudaErrorIllegalState")
        queue.capture, queue.thread = _Graph(), threading.get_ident()

    def _cudaStreamEndCapture(self, stream: Any) -> Any:  # noqa: N802
        queue = self._stream(stream)
        if not queue.capture:
            raise RefusedError("cudaErrorIllegalState")
        if queue.thread != threading.get_ident():
            raise RefusedError("cudaErrorStreamCaptureWrongThread")
        graph, queue.capture = queue.capture, None
        if graph.spoilt:
            raise RefusedError("cudaErrorStreamCaptureInvalidated")
        handle = self._handle()
        self._graphs[handle] = graph
        return real.cudaGraph_t(handle)

    def _cudaStreamIsCapturing(self, stream: Any) -> Any:  # noqa: N802
        status, graph = real.cudaStreamCaptureStatus, self._stream(stream).capture
        if not graph:
            return status.cudaStreamCaptureStatusNone
        return status.cudaStreamCaptureStatusInvalidated if graph.spoilt else status.cudaStreamCaptureStatusActive

    def _cudaGraphGetNodes(self, graph: Any, numNodes: int = 0) -> tuple[list[Any], int]:  # noqa: N802, N803
        return [], len(self._known(self._graphs, graph).nodes)

    def _cudaGraphInstantiate(self, graph: Any, flags: int) -> Any:  # noqa: N802
        handle = self._handle()
        self._executables[handle] = _Graph(list(self._known(self._graphs, graph).nodes))
        return real.cudaGraphExec_t(handle)

    def _cudaGraphLaunch(self, graphExec: Any, stream: Any) -> None:  # noqa: N802, N803
        queue = self._stream(stream)
        for work, nanoseconds in self._known(self._executables, graphExec).nodes:
            self._put(queue, work, nanoseconds)

    def _cudaGraphDestroy(self, graph: Any) -> None:  # noqa: N802
        self._known(self._graphs, graph)
        del self._graphs[int(graph)]

    def _cudaGraphExecDestroy(self, graphExec: Any) -> None:  # noqa: N802, N803
        self._known(self._executables, graphExec)
        del self._executables[int(graphExec)]

    @staticmethod
    def _known(table: dict[int, _Graph], handle: Any) -> _Graph:
        if int(handle) not in table:
            raise RefusedError("cudaErrorInvalidValue")
        return table[int(handle)]

    def _spoil(self, queue: _Stream, error: str) -> None:
        if queue.capture:
            queue.capture.spoilt = True
        raise RefusedError(error)

    def _not_while_capturing(self) -> None:
        """What a thread may not do while it captures."""
        for queue in self._streams.values():
            if queue.capture and queue.thread == threading.get_ident():
                self._spoil(queue, "cudaErrorStreamCaptureUnsupported")


_HANDLES = {"stream": "cudaStream_t", "event": "cudaEvent_t", "start": "cudaEvent_t", "end": "cudaEvent_t",
            "graph": "cudaGraph_t", "graphExec": "cudaGraphExec_t"}


def _check(function: str, name: str, value: Any, annotation: Any) -> None:
    """Arguments have the types that the real function takes."""
    if isinstance(annotation, str):
        assert isinstance(value, getattr(real, annotation)), f"{function}: {name} is a {type(value).__name__}"
    elif name in _HANDLES:
        allowed = (getattr(real, _HANDLES[name]), int, *([type(None)] if name == "stream" else []))
        assert isinstance(value, allowed), f"{function}: {name} is {value!r}"
    else:
        assert isinstance(value, int), f"{function}: {name} is {value!r}"
        assert value >= 0, f"{function}: {name} is {value!r}"


@cache
def _results(name: str) -> int:
    """How many values the real function gives beside its error code, by its documentation."""
    if name in ("cudaGetErrorName", "cudaGetErrorString"):
        return 1  # documented as if they gave nothing else
    told = getattr(real, name).__doc__.split("Returns\n")[1].split("See Also")[0]
    lines = [line.strip() for line in told.splitlines()]
    return sum(" : " in line and not line.startswith(":") for line in lines)


def install(monkeypatch: Any) -> Simulated:
    """Put a simulated runtime in the place of the real one, for `twofour.engines.cuda` and all who call it."""
    from twofour.engines.cuda import api, pipe

    simulated = Simulated()
    monkeypatch.setattr(api, "_loaded", simulated)
    monkeypatch.setattr(pipe, "clock", simulated.clock_ns)
    return simulated
