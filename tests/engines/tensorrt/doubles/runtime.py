"""Runtime, ICudaEngine and EngineInspector: plans that are whole, of this release and this GPU, come back to life."""

from __future__ import annotations

import json
from typing import Any

import onnx

from . import callbacks, checked, plan, wording
from .checked import Checked
from .context import IExecutionContext
from .graph import Graph, dtype
from .host import HostMemory
from .state import STATE

real = checked.REAL


class Runtime(Checked, of=real.Runtime):
    """Deserializes the doubles' plans; None, and an error line, for anything else."""

    def _setup(self, logger: Any) -> None:
        self._logger = callbacks.attach("ILogger", logger)
        values = {"engine_host_code_allowed": False, "max_threads": 1, "error_recorder": None, "DLA_core": 0,
                  "temporary_directory": "", "tempfile_control_flags": 0, "gpu_allocator": None}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def logger(self) -> Any:
        return self._logger

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802
        return 0

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        found = plan.read(serialized_engine)
        if found is None:
            return self._refuse("IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
                                "magicTagRead == kMAGIC_TAG failed.Magic tag does not match)")
        header, model = found
        refusal = self._refusal(header)
        return self._refuse(refusal) if refusal else ICudaEngine._make(header, model, self._logger)

    def _refusal(self, header: dict[str, Any]) -> str | None:
        portable = "VERSION_COMPATIBLE" in header["flags"]
        ours, theirs = _numbers(real.__version__), _numbers(header["version"])
        if portable and not self.engine_host_code_allowed:
            return ("IRuntime::deserializeCudaEngine: Error Code 4: API Usage Error (Cannot deserialize engine with "
                    "lean runtime, because host code is not allowed: set engineHostCodeAllowed)")
        if ours != theirs and not (portable and theirs <= ours and theirs[0] >= ours[0] - 1):
            return ("IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is not "
                    f"compatible with this version of TensorRT, expecting library version {real.__version__} got "
                    f"{header['version']}, please rebuild.)")
        return _device_refusal(header)

    def _refuse(self, text: str) -> None:
        callbacks.log(self._logger, "ERROR", text)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:3]))


def _device_refusal(header: dict[str, Any]) -> str | None:
    built, here = tuple(header["capability"]), STATE.compute_capability
    if built == here or (header["hardware"] == "AMPERE_PLUS" and here >= (8, 0)):
        return None
    return ("IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is generated on an "
            f"incompatible device, expecting compute {'.'.join(map(str, here))} got compute "
            f"{'.'.join(map(str, built))}, please rebuild.)")


class ICudaEngine(Checked, of=real.ICudaEngine):
    """An engine; its memory is counted in `trt.double.engines` until it is gone."""

    def _setup(self, header: dict[str, Any], model: bytes, logger: Any) -> None:
        self._header, self._model, self._logger = header, model, logger
        self._graph = Graph(onnx.load_from_string(model))
        self._ends = {one.name: one for one in (*self._graph.inputs, *self._graph.outputs)}
        object.__setattr__(self, "error_recorder", None)
        self._test = STATE.test
        STATE.engines += 1

    def __del__(self) -> None:
        if self.__dict__.get("_test") == STATE.test:  # an engine that outlived its test is no part of the next
            STATE.engines -= 1

    def _end(self, name: str) -> Any:
        if name not in self._ends:
            raise AssertionError(f"the engine has no tensor {name!r}; TensorRT would log an error and guess")
        return self._ends[name]

    @property
    def name(self) -> str:
        return self._header["name"]

    @property
    def num_io_tensors(self) -> int:
        return len(self._ends)

    @property
    def num_layers(self) -> int:
        return len(self._graph.layers())

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._header["profiles"]))

    @property
    def num_aux_streams(self) -> int:
        return 0

    @property
    def refittable(self) -> bool:
        return bool({"REFIT", "REFIT_IDENTICAL", "REFIT_INDIVIDUAL"} & set(self._header["flags"]))

    @property
    def profiling_verbosity(self) -> Any:
        return getattr(real.ProfilingVerbosity, self._header["verbosity"])

    @property
    def hardware_compatibility_level(self) -> Any:
        return getattr(real.HardwareCompatibilityLevel, self._header["hardware"])

    @property
    def engine_capability(self) -> Any:
        return real.EngineCapability.STANDARD

    @property
    def device_memory_size_v2(self) -> int:
        return 1 << 20

    @property
    def device_memory_size(self) -> int:
        return 1 << 20

    @property
    def streamable_weights_size(self) -> int:
        return 0

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return (1 << 20) + profile_index

    def get_tensor_name(self, index: int) -> Any:
        return list(self._ends)[index]

    def __getitem__(self, index: int) -> str:
        return list(self._ends)[index]

    def get_tensor_mode(self, name: str) -> Any:
        inputs = {one.name for one in self._graph.inputs}
        return real.TensorIOMode.INPUT if self._end(name).name in inputs else real.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return getattr(real.DataType, self._end(name).type)

    def get_tensor_shape(self, name: str) -> Any:
        return real.Dims(list(self._end(name).shape))

    def get_tensor_location(self, name: str) -> Any:
        self._end(name)
        return real.TensorLocation.DEVICE

    def get_tensor_format(self, name: str, profile_index: int = 0) -> Any:
        self._end(name)
        return real.TensorFormat.LINEAR

    def get_tensor_format_desc(self, name: str, profile_index: int = 0) -> str:
        return f"Row major linear {dtype(self._end(name).type)} format (kLINEAR)"

    def get_tensor_bytes_per_component(self, name: str, profile_index: int = 0) -> int:
        return dtype(self._end(name).type).itemsize

    def get_tensor_components_per_element(self, name: str, profile_index: int = 0) -> int:
        self._end(name)
        return -1

    def get_tensor_vectorized_dim(self, name: str, profile_index: int = 0) -> int:
        self._end(name)
        return -1

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Any:
        if self.get_tensor_mode(name) != real.TensorIOMode.INPUT:
            raise AssertionError(f"{name} is an output: it has no shape in a profile")
        return [real.Dims(list(shape)) for shape in self._ranges(name, profile_index)]

    def _ranges(self, name: str, index: int) -> Any:
        """min, opt and max; of an input without dynamic dimensions, its shape."""
        profiles = self._header["profiles"]
        own = profiles[index].get(name) if index < len(profiles) else None
        return own or [self._end(name).shape] * 3

    def is_shape_inference_io(self, name: str) -> bool:
        self._end(name)
        return False

    def is_debug_tensor(self, name: str) -> bool:
        return name in self._header["debug"]

    def get_aliased_input_tensor(self, name: str) -> Any:
        self._end(name)

    def create_execution_context(self, strategy: Any = None) -> Any:
        if STATE.fail_context:
            callbacks.log(self._logger, "ERROR", "IExecutionContext: Error Code 2: OutOfMemory (Requested size was "
                                                 "17179869184 bytes.)")
            return None
        managed = strategy == real.ExecutionContextAllocationStrategy.USER_MANAGED
        return IExecutionContext._make(self, has_memory=not managed)

    def create_execution_context_without_device_memory(self) -> Any:
        return IExecutionContext._make(self)

    def create_engine_inspector(self) -> Any:
        return EngineInspector._make(self)

    def serialize(self) -> Any:
        return HostMemory(plan.write(self._header, self._model))


class EngineInspector(Checked, of=real.EngineInspector):
    """The engine's layers as JSON."""

    def _setup(self, engine: Any) -> None:
        self._engine, self._context = engine, None
        object.__setattr__(self, "error_recorder", None)

    @property
    def execution_context(self) -> Any:
        return self._context

    @execution_context.setter
    def execution_context(self, value: Any) -> None:
        self._context = value

    def get_engine_information(self, format: Any) -> str:  # noqa: A002
        document = self._document()
        if format == real.LayerInformationFormat.JSON:
            return json.dumps(document)
        return "\n".join(str(layer) for layer in document["Layers"])

    def get_layer_information(self, layer_index: int, format: Any) -> str:  # noqa: A002
        layer = self._document()["Layers"][layer_index]
        return json.dumps(layer) if format == real.LayerInformationFormat.JSON else str(layer)

    def _document(self) -> dict[str, Any]:
        engine = self._engine
        if STATE.inspector is not None:
            return STATE.inspector(engine._graph.model)
        shapes = self._context._known_shapes() if self._context is not None else None
        detailed = engine._header["verbosity"] == "DETAILED"
        return wording.document(engine._graph, set(engine._header["flags"]), detailed, shapes)
