"""What the installed TensorRT can do: probed once, by looking at its Python module; a GPU is not needed for it.

Releases differ in their flags, and 11 dropped much of what 10 had, so every other file asks here instead of comparing
versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from .module import MINIMUM, numbers, tensorrt


@dataclass(frozen=True)
class Capabilities:
    """The flags and features of one TensorRT release that other files ask for.

    Args:
        version: as the module says it, such as `11.4.0.106`.
        major: its first number.
        builder_flags: names in `BuilderFlag`.
        parser_flags: names in `OnnxParserFlag`.
        hardware_levels: names in `HardwareCompatibilityLevel`.
        pools: names in `MemoryPoolType`.
        details: an engine can be built so that its inspector tells kernels and formats, as JSON.
        layer_times: a profiler can be asked for the times of layers, without a wait at each inference.
        debug_tensors: tensors can be marked, and seen at run time by a listener.
        strongly_typed_flag: a network can be asked to take its types from the graph alone.
        dla_refusal: why this release can't run a graph with Q/DQ on a DLA; None if it can.
    """

    version: str
    major: int
    builder_flags: frozenset[str]
    parser_flags: frozenset[str]
    hardware_levels: frozenset[str]
    pools: frozenset[str]
    details: bool
    layer_times: bool
    debug_tensors: bool
    strongly_typed_flag: bool
    dla_refusal: str | None

    @property
    def dla(self) -> bool:
        """Whether a graph with Q/DQ can be built for a DLA at all."""
        return self.dla_refusal is None

    def has_flag(self, name: str) -> bool:
        """Whether `BuilderFlag` has this name."""
        return name in self.builder_flags


def capabilities() -> Capabilities:
    """Those of the installed TensorRT; probed on the first call.

    Raises:
        MissingError: as `tensorrt()` does.
    """
    return _probe(tensorrt())


@lru_cache(maxsize=8)
def _probe(trt: ModuleType) -> Capabilities:
    version = numbers(trt)
    return Capabilities(
        version=str(trt.__version__),
        major=version[0],
        builder_flags=_names(trt, "BuilderFlag"),
        parser_flags=_names(trt, "OnnxParserFlag"),
        hardware_levels=_names(trt, "HardwareCompatibilityLevel"),
        pools=_names(trt, "MemoryPoolType"),
        details=_has(trt, "ProfilingVerbosity.DETAILED", "ICudaEngine.create_engine_inspector",
                     "LayerInformationFormat.JSON"),
        layer_times=_has(trt, "IProfiler", "IExecutionContext.report_to_profiler",
                         "IExecutionContext.enqueue_emits_profile"),
        debug_tensors=_has(trt, "INetworkDefinition.mark_debug", "IExecutionContext.set_debug_listener"),
        strongly_typed_flag="STRONGLY_TYPED" in _names(trt, "NetworkDefinitionCreationFlag"),
        dla_refusal=_dla_refusal(version),
    )


def _names(trt: ModuleType, enum: str) -> frozenset[str]:
    return frozenset(getattr(getattr(trt, enum, None), "__members__", ()))


def _has(trt: ModuleType, *paths: str) -> bool:
    for path in paths:
        found = trt
        for name in path.split("."):
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
    return True


def _dla_refusal(version: tuple[int, ...]) -> str | None:
    if version < (11,):
        return "before 11.4.1, TensorRT takes INT8 on a DLA from calibration alone, not from a graph with Q/DQ nodes"
    if version < (11, 4, 1):
        return "TensorRT 11.0 up to 11.4.0 was released without DLA; it is back in 11.4.1, with JetPack 7.2.2"
    return None


__all__ = ["MINIMUM", "Capabilities", "capabilities", "tensorrt"]
