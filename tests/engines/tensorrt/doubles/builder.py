"""Builder: makes the doubles' plan, with the log, the progress and the failures that a test asks for."""

from __future__ import annotations

from typing import Any

from . import callbacks, checked, plan, wording
from .checked import Checked
from .config import IBuilderConfig, IOptimizationProfile
from .host import HostMemory
from .network import INetworkDefinition
from .state import STATE

real = checked.REAL
PRECISIONS = {"FP16", "BF16", "INT8", "FP8", "INT4", "FP4"}


class Builder(Checked, of=real.Builder):
    """Plans come out of `build_serialized_network`."""

    def _setup(self, logger: Any) -> None:
        self._logger = callbacks.attach("ILogger", logger)
        for name, value in {"max_threads": 1, "error_recorder": None, "gpu_allocator": None}.items():
            object.__setattr__(self, name, value)

    @property
    def logger(self) -> Any:
        return self._logger

    @property
    def num_DLA_cores(self) -> int:  # noqa: N802
        return 0

    @property
    def max_DLA_batch_size(self) -> int:  # noqa: N802
        return 4096

    @property
    def platform_has_fast_fp16(self) -> bool:
        return True

    @property
    def platform_has_fast_int8(self) -> bool:
        return True

    @property
    def platform_has_tf32(self) -> bool:
        return True

    def create_network(self, flags: int = 0) -> Any:
        return INetworkDefinition._make(self, flags or 0)

    def create_builder_config(self) -> Any:
        return IBuilderConfig._make(self._logger)

    def create_optimization_profile(self) -> Any:
        return IOptimizationProfile._make()

    def is_network_supported(self, network: Any, config: Any) -> bool:
        return not self._faults(network, config)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        raw = self._build(network, config)
        return None if raw is None else HostMemory(raw)

    def build_serialized_network_to_stream(self, network: Any, config: Any, writer: Any) -> bool:
        raw = self._build(network, config)
        return raw is not None and callbacks.call(writer, "write", raw) == len(raw)

    def reset(self) -> None:
        pass

    def _build(self, network: Any, config: Any) -> bytes | None:
        for fault in self._faults(network, config):
            callbacks.log(self._logger, "ERROR", fault)
            return None
        if STATE.fail_build == "raises":
            raise RuntimeError("the builder failed")
        if STATE.fail_build in ("null", "out of memory"):
            line = wording.OUT_OF_MEMORY if STATE.fail_build == "out of memory" else (
                "ERROR", "IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any "
                "implementation for node fc1.)")
            callbacks.log(self._logger, *line)
            return None
        if not self._progress(network, config):
            callbacks.log(self._logger, "WARNING", "The build was canceled by the progress monitor.")
            return None
        return self._finish(network, config)

    def _faults(self, network: Any, config: Any) -> list[str]:
        strong = network._flags >> int(real.NetworkDefinitionCreationFlag.STRONGLY_TYPED) & 1
        if network._graph is None:
            return ["Network must have at least one output"]
        if strong and PRECISIONS & config._flags:
            return [f"{sorted(PRECISIONS & config._flags)} can't be set for a strongly typed network"]
        if {"REFIT", "REFIT_IDENTICAL"} <= config._flags:
            return ["REFIT and REFIT_IDENTICAL can't be set together"]
        return [fault for one in network._inputs for fault in self._ranges(one, config)]

    @staticmethod
    def _ranges(one: Any, config: Any) -> list[str]:
        if -1 not in one.shape:
            return []
        if not config._profiles:
            return ["Network has dynamic or shape inputs, but no optimization profile has been defined."]
        for profile in config._profiles:
            shapes = profile._shapes.get(one.name)
            if shapes is None:
                return [f"Profile has no shape for the dynamic input {one.name}"]
            if any(len(shape) != len(one.shape) for shape in shapes) or any(
                    known not in (-1, size) for shape in shapes for known, size in zip(one.shape, shape, strict=True)):
                return [f"Static dimension mismatch while setting input shape for {one.name}: {shapes} for {one.shape}"]
        return []

    def _progress(self, network: Any, config: Any) -> bool:
        """Phases as TensorRT opens and closes them; False if the monitor stopped the build."""
        monitor = config._progress
        if monitor is None:
            return True
        outer, inner, steps = "Building Engine", "Timing Graph Nodes", max(1, len(network._graph.layers()))
        callbacks.call(monitor, "phase_start", outer, None, 2)
        going = self._step(monitor, outer, 0)
        if going:
            callbacks.call(monitor, "phase_start", inner, outer, steps)
            going = all(self._step(monitor, inner, step) for step in range(steps))
            callbacks.call(monitor, "phase_finish", inner)
        going = going and self._step(monitor, outer, 1)
        callbacks.call(monitor, "phase_finish", outer)
        return going

    @staticmethod
    def _step(monitor: Any, phase: str, step: int) -> bool:
        answer = callbacks.truth(callbacks.call(monitor, "step_complete", phase, step), "step_complete")
        if answer and STATE.on_step is not None:
            STATE.on_step(phase, step)
        return answer

    def _finish(self, network: Any, config: Any) -> bytes:
        graph, flags = network._graph, set(config._flags)
        lines = STATE.log_lines
        if lines is None:
            lines = wording.sparsity_lines(graph, flags, int(real.__version__.split(".")[0]))
        for line in [*([wording.SKIPPED_TACTIC] if STATE.fail_build == "skips tactics" else []), *lines]:
            callbacks.log(self._logger, *line)
        if config._cache is not None:
            timed = {one.name: float(one.weight.size if one.weight is not None else 1) for one in graph.layers()}
            config._cache._content["entries"] |= timed
        header = _header(network, config, flags)
        STATE.builds.append(header)
        callbacks.log(self._logger, "INFO", "Engine generation completed in 1.5 seconds.")
        return plan.write(header, network._model)


def _header(network: Any, config: Any, flags: set[str]) -> dict[str, Any]:
    """All that a test may want to know of a build."""
    members = real.NetworkDefinitionCreationFlag.__members__
    return {
        "version": real.__version__, "flags": sorted(flags), "pools": dict(config._pools), "level": config._level,
        "network_flags": sorted(name for name, bit in members.items() if network._flags >> int(bit) & 1),
        "profiles": [profile._shapes for profile in config._profiles],
        "verbosity": config.profiling_verbosity.name, "hardware": config.hardware_compatibility_level.name,
        "capability": list(STATE.compute_capability), "gpu": STATE.gpu, "name": network.name,
        "debug": sorted(network._debug), "unfused": network._unfused, "timing_cache": config._cache is not None,
        "max_aux_streams": config.max_aux_streams, "avg_timing_iterations": config.avg_timing_iterations,
        "device_type": config.default_device_type.name, "DLA_core": config.DLA_core,
        "monitored": config._progress is not None, "number": len(STATE.builds),
        "two_four": [layer.node.name for layer in network._graph.layers() if wording.eligible(layer)],
        "int8": any(layer.int8 for layer in network._graph.layers()),
    }
