"""One execution context: shapes and addresses set, run on a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ...common.errors import UserError
from ..cuda.api import CudaError, OutOfMemoryError, call
from ..cuda.stream import Stream
from .capabilities import tensorrt
from .ports import Ports, Shape
from .sparsity_log import out_of_memory

Heard = Callable[[], str | None]  # the last error that TensorRT logged, or None
Complaints = Callable[[], Heard]  # begins to listen: only what is logged from then on counts


class Context:
    """A `trt.IExecutionContext` that works in memory it is given, so that several of a thread can share it.

    Args:
        engine: the `trt.ICudaEngine`.
        ports: of the engine.
        scratch: address of `engine.device_memory_size_v2` bytes on the device.
        profile: number of the optimization profile.
        stream: is used, and waited for, if the profile isn't the first.
        complaints: listens for TensorRT's errors, the reasons of our own.

    Raises:
        OutOfMemoryError: the device has no room for it.
        CudaError: TensorRT makes none for another reason.
    """

    def __init__(
        self, engine: Any, ports: Ports, scratch: int, profile: int, stream: Stream, complaints: Complaints
    ) -> None:
        strategy = tensorrt().ExecutionContextAllocationStrategy.USER_MANAGED
        self._ports, self._complaints = ports, complaints
        heard = complaints()
        self._context = engine.create_execution_context(strategy)
        if self._context is None:
            raise failure("make an execution context", heard)
        self._context.set_device_memory(scratch, engine.device_memory_size_v2)
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}
        self._outputs: dict[str, Shape] = {}
        if profile:
            self._must(lambda: self._context.set_optimization_profile_async(profile, stream.handle),
                       f"take profile {profile}")
            stream.synchronize()

    @property
    def raw(self) -> Any:
        """The `trt.IExecutionContext`, for profiler and listeners."""
        return self._context

    def shape(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Set the inputs' shapes; the outputs' shapes that follow. Inputs of the host have their addresses already.

        Raises:
            UserError: TensorRT can't tell an output's shape before it runs.
            CudaError: TensorRT refuses the shapes.
        """
        on_host = any(port.on_host for port in self._ports.inputs.values())
        if shapes == self._shapes and not on_host:
            return self._outputs
        self._shapes = {}  # half set, should anything below fail
        for name, shape in shapes.items():
            if not self._ports.inputs[name].on_host:
                self._must(partial(self._context.set_input_shape, name, shape), f"take the shape {shape} of {name!r}")
        if missing := self._inferred():
            raise CudaError(f"TensorRT can't infer its shapes: {', '.join(missing)} are not set.")
        self._outputs = {name: self._output_shape(name) for name in self._ports.outputs}
        self._shapes = dict(shapes)
        return self._outputs

    def _inferred(self) -> list[str]:
        heard = self._complaints()
        try:
            return list(self._context.infer_shapes())
        except RuntimeError as error:
            raise failure("infer its shapes", heard, error) from error

    def _output_shape(self, name: str) -> Shape:
        shape = tuple(self._context.get_tensor_shape(name))
        if -1 in shape:
            raise UserError(f"The size of the output {name!r} depends on the values of the inputs, and this runner has "
                            "to know it before.", fix="Export the model without that step (such as NMS or NonZero).")
        return shape

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Set where inputs and outputs lie.

        Raises:
            CudaError: TensorRT refuses an address.
        """
        for name, address in addresses.items():
            if self._addresses.get(name) != address:
                self._must(partial(self._context.set_tensor_address, name, address), f"take the address of {name!r}")
                self._addresses[name] = address

    def enqueue(self, stream: Stream) -> None:
        """Put one inference on the stream.

        Raises:
            OutOfMemoryError: the device has not enough memory.
            CudaError: TensorRT refuses for another reason.
        """
        self._must(lambda: self._context.execute_async_v3(stream.handle), "run the engine")

    def close(self) -> None:
        """Give it back; nothing of it may still run."""
        self._context = None

    def _must(self, work: Callable[[], bool], what: str) -> None:
        heard = self._complaints()
        try:
            done = work()
        except RuntimeError as error:
            raise failure(what, heard, error) from error
        if not done:
            raise failure(what, heard)


def failure(what: str, heard: Heard, error: Exception | None = None) -> CudaError:
    """The error that says what TensorRT did not do, and why as far as it told.

    Args:
        what: to complete the sentence "TensorRT could not ...".
        heard: gives what it logged last meanwhile.
        error: what it raised. Defaults to nothing.
    """
    reason = heard() or (str(error) if error is not None else None)
    text = f"TensorRT could not {what}{f': {reason}' if reason else ''}".rstrip(".") + "."
    if reason is None or not out_of_memory([reason]):  # "an illegal memory access" is no lack of it
        return CudaError(text)
    free, total = _memory()
    left = "" if free is None or total is None else f" {free / 2**20:.0f} of {total / 2**20:.0f} MiB are free."
    problem = OutOfMemoryError(f"The GPU has not enough memory. {text}{left}",
                               fix="Use a smaller batch or --workspace-mib at the build, or end what else uses it.")
    problem.free = free
    return problem


def _memory() -> tuple[int | None, int | None]:
    try:
        free, total = call("cudaMemGetInfo")
    except CudaError:
        return None, None
    return int(free), int(total)


__all__ = ["Complaints", "Context", "Heard", "failure"]
