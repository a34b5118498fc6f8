"""IExecutionContext: runs the plan's ONNX on the memory at the addresses that it was given."""

from __future__ import annotations

import ctypes
import math
import threading
from typing import Any

import numpy as np
import onnx

from . import callbacks, checked, compute
from .checked import Checked
from .graph import dtype
from .state import STATE

real = checked.REAL


class IExecutionContext(Checked, of=real.IExecutionContext):
    """Counted in `trt.double.contexts` until it is gone."""

    def _setup(self, engine: Any, has_memory: bool = True) -> None:
        self._engine, self._profile, self._has_memory = engine, 0, has_memory
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._profiler: Any = None
        self._listener: Any = None
        self._debug: set[str] = set()
        self._allocators: dict[str, Any] = {}
        self._ran, self._warm = False, None
        self._busy = threading.Lock()
        values = {"name": "", "enqueue_emits_profile": True, "debug_sync": False, "error_recorder": None,
                  "persistent_cache_limit": 0, "unfused_tensors_debug_state": False,
                  "nvtx_verbosity": real.ProfilingVerbosity.LAYER_NAMES_ONLY}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._test = STATE.test
        STATE.contexts += 1

    def __del__(self) -> None:
        if self.__dict__.get("_test") == STATE.test:
            STATE.contexts -= 1

    def _error(self, text: str) -> bool:
        callbacks.log(self._engine._logger, "ERROR", f"IExecutionContext: Error Code 3: API Usage Error ({text})")
        return False

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            return self._error(f"Profile index {profile_index} is out of range")
        if profile_index != self._profile:
            self._profile, self._shapes = int(profile_index), {}
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory % 256 == 0, f"TensorRT works in memory that is aligned to 256 bytes, not at {memory}"
        if size < self._engine.device_memory_size_v2:
            self._error(f"{size} bytes are too few: the engine needs {self._engine.device_memory_size_v2}")
            return
        if STATE.memory:
            STATE.memory(memory, size)
        self._has_memory = True

    def set_input_shape(self, name: str, shape: Any) -> bool:
        if name not in {one.name for one in self._engine._graph.inputs}:
            return self._error(f"{name} is not an input")
        wanted = tuple(int(size) for size in shape)
        low, _, high = self._engine._ranges(name, self._profile)
        fits = len(wanted) == len(low) and all(a <= b <= c for a, b, c in zip(low, wanted, high, strict=True))
        if not fits:
            return self._error(f"Set dimensions {list(wanted)} for {name} are not in the range of profile "
                               f"{self._profile}: {list(low)} to {list(high)}")
        self._shapes[name] = wanted
        return True

    def _input_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes.get(name, tuple(self._engine._ends[name].shape))

    def infer_shapes(self) -> list[str]:
        return [one.name for one in self._engine._graph.inputs if -1 in self._input_shape(one.name)]

    @property
    def all_binding_shapes_specified(self) -> bool:
        return not self.infer_shapes()

    @property
    def all_shape_inputs_specified(self) -> bool:
        return True

    def get_tensor_shape(self, name: str) -> Any:
        if name in {one.name for one in self._engine._graph.inputs}:
            return real.Dims(list(self._input_shape(name)))
        end = self._engine._end(name)
        return real.Dims(list(self._known_shapes().get(name, end.shape)))

    def get_tensor_strides(self, name: str) -> Any:
        shape = list(self.get_tensor_shape(name))
        return real.Dims([math.prod(shape[at + 1:]) for at in range(len(shape))])

    def _known_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors, for the input shapes that were set."""
        model = onnx.ModelProto()
        model.CopyFrom(self._engine._graph.model)
        for value in model.graph.input:
            for at, size in enumerate(self._input_shape(value.name) if value.name in self._engine._ends else ()):
                if size >= 0:
                    value.type.tensor_type.shape.dim[at].dim_value = size
        for value in model.graph.output:  # what was written of them is for the sizes that vary
            value.type.tensor_type.ClearField("shape")
        del model.graph.value_info[:]
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.input, *inferred.value_info, *inferred.output)
        return {one.name: tuple(d.dim_value if d.HasField("dim_value") else -1 for d in one.type.tensor_type.shape.dim)
                for one in values}

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine._ends:
            return self._error(f"{name} is not an input or output")
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def get_max_output_size(self, name: str) -> int:
        self._engine._end(name)
        return -1

    def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
        self._allocators[name] = callbacks.attach("IOutputAllocator", output_allocator)
        return True

    def get_output_allocator(self, name: str) -> Any:
        return self._allocators.get(name)

    def set_input_consumed_event(self, event: int) -> bool:
        return True

    @property
    def profiler(self) -> Any:
        return self._profiler

    @profiler.setter
    def profiler(self, value: Any) -> None:
        self._profiler = callbacks.attach("IProfiler", value)

    def report_to_profiler(self) -> bool:
        if self._profiler is None or not self._ran or self.enqueue_emits_profile:
            return False  # while a graph is captured too; the double can't know of which stream
        self._report()
        return True

    def _report(self) -> None:
        for layer in self._engine._graph.layers():
            size = layer.weight.size if layer.weight is not None else 1
            milliseconds = STATE.layer_ms(layer.name) if STATE.layer_ms else 0.01 + size * 1e-6
            callbacks.call(self._profiler, "report_layer_time", layer.name, float(milliseconds))

    def set_debug_listener(self, listener: Any) -> bool:
        self._listener = callbacks.attach("IDebugListener", listener)
        return True

    def get_debug_listener(self) -> Any:
        return self._listener

    def set_tensor_debug_state(self, name: str, flag: bool) -> bool:
        if name not in self._engine._header["debug"]:
            return self._error(f"{name} is not a debug tensor")
        (self._debug.add if flag else self._debug.discard)(name)
        return True

    def set_all_tensors_debug_state(self, flag: bool) -> bool:
        self._debug = set(self._engine._header["debug"]) if flag else set()
        return True

    def get_debug_state(self, name: str) -> bool:
        return name in self._debug

    def execute_async_v3(self, stream_handle: int) -> bool:
        if not self._busy.acquire(blocking=False):
            raise AssertionError("two threads use one context at once")
        try:
            return self._execute(int(stream_handle))
        finally:
            self._busy.release()

    def _execute(self, handle: int) -> bool:
        number, failure = STATE.executions, STATE.fail_execute.get(STATE.executions)
        STATE.executions += 1
        if failure == "raises":
            raise RuntimeError(f"execution {number} failed")
        if not self._has_memory:
            return self._error("enqueue failed: the context was given no memory to work in")
        unset = [name for name in self._engine._ends if not self._addresses.get(name) and name not in self._allocators]
        if failure or self.infer_shapes() or unset:
            return self._error(f"enqueue failed: shapes of {self.infer_shapes()} and addresses of {unset} are not set")
        inputs = {one.name: self._input_shape(one.name) for one in self._engine._graph.inputs}
        if STATE.capturing is not None and STATE.capturing(handle) and self._warm != inputs:
            return self._error("a graph capture needs one execution with the same shapes before it")
        self._enqueue(handle, inputs)
        self._ran, self._warm = True, inputs
        if self._profiler is not None and self.enqueue_emits_profile:
            self._report()
        return True

    def _enqueue(self, handle: int, inputs: dict[str, tuple[int, ...]]) -> None:
        if handle == 0:
            callbacks.log(self._engine._logger, "WARNING", "Using default stream in enqueueV3() may lead to "
                          "performance issues due to additional calls to cudaStreamSynchronize() by TensorRT to "
                          "ensure correct synchronization. Please use non-default stream instead.")
        addresses, listener, names = dict(self._addresses), self._listener, self._watched()

        def work() -> None:
            self._work(inputs, addresses, listener, names, handle)

        if STATE.enqueue is None:
            work()
        else:
            STATE.enqueue(handle, work, STATE.run_ms(self._engine._header))

    def _watched(self) -> tuple[str, ...]:
        """Debug tensors that are on; those that fusion leaves, if they were marked and are on too."""
        names = set(self._debug)
        if self._engine._header["unfused"] and self.unfused_tensors_debug_state:
            outputs = {one.name for one in self._engine._graph.outputs}
            names |= {layer.outputs[-1] for layer in self._engine._graph.layers()} - outputs
        return tuple(sorted(names)) if self._listener is not None else ()

    def _work(self, shapes: Any, addresses: Any, listener: Any, watched: tuple[str, ...], stream: int) -> None:
        graph = self._engine._graph
        inputs = {one.name: read(addresses[one.name], shapes[one.name], dtype(one.type)) for one in graph.inputs}
        outputs = tuple(one.name for one in graph.outputs)
        names = (*outputs, *(name for name in watched if name not in outputs))
        runner = STATE.run or (lambda _, given, wanted: compute.run(self._engine._model, given, wanted))
        values = runner(graph.model, inputs, names)
        for name in outputs:
            address = addresses.get(name) or self._allocate(name, values[name], stream)
            write(address, values[name])
        for name in watched:
            self._show(listener, name, values[name], stream)

    def _allocate(self, name: str, value: np.ndarray, stream: int) -> int:
        allocator = self._allocators[name]
        method = "reallocate_output_async" if hasattr(allocator, "reallocate_output_async") else "reallocate_output"
        extra = (stream,) if method.endswith("async") else ()
        address = callbacks.call(allocator, method, name, 0, value.nbytes, 256, *extra)
        callbacks.call(allocator, "notify_shape", name, real.Dims(list(value.shape)))
        return int(address)

    @staticmethod
    def _show(listener: Any, name: str, value: np.ndarray, stream: int) -> None:
        kept = np.ascontiguousarray(value)
        kinds = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16", "int8": "INT8", "int32": "INT32",
                 "int64": "INT64", "bool": "BOOL", "uint8": "UINT8"}
        address, end = STATE.lend(kept.tobytes()) if STATE.lend else (kept.ctypes.data, lambda: None)
        callbacks.call(listener, "process_debug_tensor", address, real.TensorLocation.DEVICE,
                       getattr(real.DataType, kinds[kept.dtype.name]), real.Dims(list(kept.shape)), name, stream)
        end()


def read(address: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
    """A copy of the array at an address."""
    count = math.prod(shape) * kind.itemsize
    if STATE.memory:
        STATE.memory(address, count)
    return np.frombuffer(ctypes.string_at(address, count), kind).reshape(shape)


def write(address: int, value: np.ndarray) -> None:
    raw = np.ascontiguousarray(value).tobytes()
    if STATE.memory:
        STATE.memory(address, len(raw))
    ctypes.memmove(address, raw, len(raw))
