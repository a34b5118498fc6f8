"""A loaded TensorRT engine that answers: on NumPy arrays, or on arrays that lie on the GPU, without a copy."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from ..cuda.api import call
from ..finite import refuse_nan
from .bound import Source
from .context import Heard
from .given import Given, stream_of, take
from .lane import Lane
from .logger import Log
from .ports import ports_of
from .prepared import Prepared


class TensorRTRunner:
    """Runs one engine, from any number of threads: each gets an execution context and memory of its own.

    A lane of a thread that has ended is given back when the next thread comes, all others by `close`.

    Args:
        engine: the `trt.ICudaEngine`.
        cuda_graph: from the third time on that the same shapes and addresses come, launch a CUDA graph. Inputs from the
            host always have the same addresses. Defaults to False.
        profile_index: number of the optimization profile. Defaults to 0.
        check: refuse inputs of the host that hold NaN. It reads them once more, so it is for judging an engine, not for
            serving or timing it; arrays on the GPU are never looked into. Defaults to False.
        log: what TensorRT writes to, for the reason in errors. Defaults to none.
        where: the plan's file, for errors. Defaults to nothing.
        keep: what has to outlive the engine, such as the `trt.Runtime` and its logger. Defaults to nothing.

    Raises:
        UserError: no such profile, or inputs or outputs that arrays can't hold.
        CudaError: no GPU is there.
    """

    def __init__(
        self, engine: Any, *, cuda_graph: bool = False, profile_index: int = 0, check: bool = False,
        log: Log | None = None, where: str | None = None, keep: object = None,
    ) -> None:
        self.ports = ports_of(engine, profile_index)
        self._log, self._where, self._keep, self._check, self._graph = log, where, keep, check, cuda_graph
        self._source: Source | None = Source(
            engine, self.ports, profile_index, int(call("cudaGetDevice")), self._listen, threading.Lock()
        )
        self._lanes: dict[threading.Thread, Lane] = {}
        self._prepared: list[Prepared] = []
        self._lock = threading.Lock()

    @property
    def batches(self) -> tuple[int, int, int] | None:
        """Smallest, most used and largest batch that it takes; None where it is fixed."""
        return self.ports.batches

    @property
    def max_batch(self) -> int | None:
        """The largest batch that it takes; None for an engine without a batch dimension."""
        if self.batches is not None:
            return self.batches[2]
        return next((port.shape[0] for port in self.ports.inputs.values() if port.shape), None)

    @property
    def working_bytes(self) -> int:
        """Memory of the GPU that each inference in flight works in, without inputs and outputs.

        Raises:
            ValueError: the runner is closed.
        """
        return int(self._open().engine.device_memory_size_v2)

    @property
    def graph_fallback(self) -> str | None:
        """Why no CUDA graph is used, though asked for; None as long as they are."""
        return next((lane.graph_fallback for lane in list(self._lanes.values()) if lane.graph_fallback), None)

    def infer(self, inputs: Mapping[str, Any], stream: object = None) -> dict[str, Any]:
        """Answer one batch.

        Args:
            inputs: an array for every input, of the very dtype that the engine takes, by name: NumPy arrays, or what
                has `__cuda_array_interface__` and is C-contiguous (torch, CuPy, numba), which is read where it lies.
            stream: the caller's, which the work is put on: CUDA's handle as an int, or a stream of torch, CuPy, numba,
                PyCUDA, cuda.core or twofour. Defaults to a stream of the runner's own: it waits for the stream that an
                input names, or for the default stream if it names none (torch never names one, so give torch's current
                stream if it isn't the default one).

        Returns:
            NumPy arrays, complete, if any input came from the host. If all lie on the GPU, the outputs stay there, good
            until this thread's next call: see `DeviceOutput`. With a stream of the caller's they are complete when what
            is on it now is done; without, at once.

        Raises:
            UserError: an input is missing, unknown, or of a dtype or shape that the engine doesn't take; or holds NaN,
                with `check`.
            OutOfMemoryError: the GPU has not enough memory; says how much was asked for and how much is free.
            CudaError: CUDA or TensorRT failed.
            ValueError: the runner is closed.
        """
        given = self.take(inputs)
        if self._check:
            refuse_nan({name: value for name, value in given.items() if isinstance(value, np.ndarray)})
        theirs = stream_of(stream) if stream is not None else None
        return self._lane().infer(given, theirs)

    def take(self, inputs: Mapping[str, Any]) -> dict[str, Given]:
        """The inputs as the engine takes them, in its order; nothing is copied.

        Raises:
            UserError: as `infer` does.
        """
        return take(self.ports, inputs, self._where)

    def prepare(self, inputs: Mapping[str, np.ndarray[Any, Any]], lanes: int = 1) -> Prepared:
        """One batch laid out for a stopwatch, with contexts and memory apart from those of `infer`.

        Args:
            inputs: as `infer` takes them.
            lanes: how many inferences may run side by side. Defaults to 1.

        Raises:
            As `infer` does.
        """
        made = Prepared(self._open(), self.take(inputs), lanes)
        with self._lock:
            self._prepared = [*(one for one in self._prepared if not one.closed), made]
        return made

    def _open(self) -> Source:
        if self._source is None:
            raise ValueError("This runner is closed.")
        return self._source

    def _lane(self) -> Lane:
        """Of the calling thread."""
        thread = threading.current_thread()
        lane = self._lanes.get(thread)
        if lane is None:
            with self._lock:
                source = self._open()
                for old in [one for one in self._lanes if not one.is_alive()]:
                    self._lanes.pop(old).close()
                lane = self._lanes[thread] = Lane(source, self._graph)
        return lane

    def _listen(self) -> Heard:
        """From now on: what was logged before is no reason of what fails next."""
        return partial(_last_error, self._log, self._log.taken if self._log is not None else 0)

    def close(self) -> None:
        """Wait for what runs, then give everything back: contexts, graphs, memory, the engine; a second time nothing.

        No other thread may be about to call `infer`.
        """
        with self._lock, ExitStack() as stack:
            held: list[Lane | Prepared] = [*self._lanes.values(), *self._prepared]
            self._lanes, self._prepared, self._source = {}, [], None
            stack.callback(setattr, self, "_keep", None)
            for one in held:
                stack.callback(one.close)

    def __enter__(self) -> TensorRTRunner:
        """Closed at the end of the `with`."""
        return self

    def __exit__(self, *error: object) -> None:
        """See `close`."""
        self.close()


def _last_error(log: Log | None, since: int) -> str | None:
    errors = log.errors(since) if log is not None else []
    return errors[-1] if errors else None


__all__ = ["TensorRTRunner"]
