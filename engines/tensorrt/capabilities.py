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
    """The flags and features of one TensorRT release.

    Args:
        version: as the module says it, such as `11.4.0.106`.
        major: its first number.
        minor: its second number.
        builder_flags: names in `BuilderFlag`.
        parser_flags: names in `OnnxParserFlag`.
        network_flags: names in `NetworkDefinitionCreationFlag`.
        serialization_flags: names in `SerializationFlag`.
        pools: names in `MemoryPoolType`.
        hardware_levels: names in `HardwareCompatibilityLevel`.
        tactic_sources: names in `TacticSource`.
        preview_features: names in `PreviewFeature`.
        verbosities: names in `ProfilingVerbosity`.
        data_types: names in `DataType`.
        progress_monitor: a build can report its progress, and be canceled.
        debug_tensors: tensors can be marked, and seen at run time by a listener.
        unfused_debug_tensors: all tensors that fusion leaves can be marked at once.
        editable_timing_cache: entries of a timing cache can be read and replaced.
        inspector: an engine describes its layers as JSON.
        strongly_typed_flag: a network can be asked to take its types from the graph alone.
        weak_typing: precisions can still be asked for by flag (10.x).
        fast_precision_queries: the builder says which precisions the GPU has (10.x).
        build_routes: the builder's routes can be listed and chosen.
        v2_memory_size: an engine says its memory in 64 bits, for each profile.
        stream_writer: a plan can be written piece by piece.
        parser_sees_config: the parser can be told the builder's configuration.
        dla_refusal: why this release can't run a graph with Q/DQ on a DLA; None if it can.
    """

    version: str
    major: int
    minor: int
    builder_flags: frozenset[str]
    parser_flags: frozenset[str]
    network_flags: frozenset[str]
    serialization_flags: frozenset[str]
    pools: frozenset[str]
    hardware_levels: frozenset[str]
    tactic_sources: frozenset[str]
    preview_features: frozenset[str]
    verbosities: frozenset[str]
    data_types: frozenset[str]
    progress_monitor: bool
    debug_tensors: bool
    unfused_debug_tensors: bool
    editable_timing_cache: bool
    inspector: bool
    strongly_typed_flag: bool
    weak_typing: bool
    fast_precision_queries: bool
    build_routes: bool
    v2_memory_size: bool
    stream_writer: bool
    parser_sees_config: bool
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
    builder_flags, network_flags = _names(trt, "BuilderFlag"), _names(trt, "NetworkDefinitionCreationFlag")
    return Capabilities(
        version=str(trt.__version__),
        major=version[0],
        minor=version[1],
        builder_flags=builder_flags,
        parser_flags=_names(trt, "OnnxParserFlag"),
        network_flags=network_flags,
        serialization_flags=_names(trt, "SerializationFlag"),
        pools=_names(trt, "MemoryPoolType"),
        hardware_levels=_names(trt, "HardwareCompatibilityLevel"),
        tactic_sources=_names(trt, "TacticSource"),
        preview_features=_names(trt, "PreviewFeature"),
        verbosities=_names(trt, "ProfilingVerbosity"),
        data_types=_names(trt, "DataType"),
        progress_monitor=_has(trt, "IProgressMonitor", "IBuilderConfig.progress_monitor"),
        debug_tensors=_has(trt, "INetworkDefinition.mark_debug", "IExecutionContext.set_debug_listener"),
        unfused_debug_tensors=_has(trt, "INetworkDefinition.mark_unfused_tensors_as_debug_tensors",
                                   "IExecutionContext.unfused_tensors_debug_state"),
        editable_timing_cache="EDITABLE_TIMING_CACHE" in builder_flags and _has(trt, "ITimingCache.update"),
        inspector=_has(trt, "ICudaEngine.create_engine_inspector", "EngineInspector.get_engine_information"),
        strongly_typed_flag="STRONGLY_TYPED" in network_flags,
        weak_typing="FP16" in builder_flags,
        fast_precision_queries=_has(trt, "Builder.platform_has_fast_int8"),
        build_routes=_has(trt, "IBuilderConfig.all_build_routes", "IBuilderConfig.build_route"),
        v2_memory_size=_has(trt, "ICudaEngine.device_memory_size_v2"),
        stream_writer=_has(trt, "IStreamWriter", "Builder.build_serialized_network_to_stream"),
        parser_sees_config=_has(trt, "OnnxParser.set_builder_config"),
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
