"""The builder's settings, from ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...common.errors import MissingError, UserError
from ..config import ShapeRange, TensorRTConfig
from ..cuda.device import Device
from .capabilities import Capabilities, capabilities
from .module import tensorrt

_MIB = 1 << 20
_AMPERE = (8, 0)


def builder_config(builder: Any, config: TensorRTConfig, shapes: Mapping[str, ShapeRange], monitor: Any) -> Any:
    """A `trt.IBuilderConfig`, all but its timing cache.

    Args:
        builder: a `trt.Builder`.
        config: what was asked.
        shapes: the optimization profile, of the inputs that have dynamic dimensions.
        monitor: a `trt.IProgressMonitor`.

    Raises:
        MissingError: this TensorRT or this machine has no such flag, level or DLA.
        UserError: TensorRT refuses the shapes.
    """
    trt, can = tensorrt(), capabilities()
    made = builder.create_builder_config()
    made.progress_monitor = monitor
    made.builder_optimization_level = config.optimization_level
    if can.details:
        made.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    _set_flags(trt, can, made, config)
    if config.workspace_mib is not None:
        made.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib * _MIB)
    if config.hardware_compatibility != "none":
        made.hardware_compatibility_level = _level(trt, can, config.hardware_compatibility)
    if config.dla_core is not None:
        _choose_dla(trt, builder, made, config.dla_core)
    if shapes:
        _add(made, _profile(builder, shapes), shapes)
    return made


def check_options(config: TensorRTConfig, device: Device) -> None:
    """Refuse what can't work here, before anything is done.

    Raises:
        MissingError: this TensorRT or this GPU lacks something that was asked for.
        UserError: settings that contradict each other.
    """
    can = capabilities()
    for name in _flags(config):
        _require(can, name)
    if config.workspace_mib is not None and "WORKSPACE" not in can.pools:
        raise MissingError(f"TensorRT {can.version} has no limit for scratch memory.", fix="Leave workspace_mib out.")
    if config.hardware_compatibility != "none":
        _level_name(can, config.hardware_compatibility)
    if config.hardware_compatibility == "ampere_plus" and device.compute_capability < _AMPERE:
        raise MissingError(f"{device.name} is older than Ampere, so no plan built here can suit Ampere and newer.",
                           fix="Leave hardware_compatibility out, or build on a newer GPU.")
    if config.dla_core is not None:
        _check_dla(can, config)


def _flags(config: TensorRTConfig) -> list[str]:
    asked = {"SPARSE_WEIGHTS": config.sparse, "REFIT": config.refit, "VERSION_COMPATIBLE": config.version_compatible}
    return [name for name, wanted in asked.items() if wanted]


def _set_flags(trt: Any, can: Capabilities, made: Any, config: TensorRTConfig) -> None:
    for name in _flags(config):
        _require(can, name)
        made.set_flag(getattr(trt.BuilderFlag, name))
    if can.has_flag("TF32"):  # it is on unless it is cleared
        (made.set_flag if config.tf32 else made.clear_flag)(trt.BuilderFlag.TF32)


def _require(can: Capabilities, name: str) -> None:
    if not can.has_flag(name):
        raise MissingError(f"TensorRT {can.version} has no builder flag {name}.", fix="Leave the option out.")


def _level_name(can: Capabilities, asked: str) -> str:
    if asked.upper() not in can.hardware_levels:
        raise MissingError(f"TensorRT {can.version} knows no hardware compatibility {asked!r}.",
                           fix=f"It knows: {', '.join(sorted(can.hardware_levels)).lower()}.")
    return asked.upper()


def _level(trt: Any, can: Capabilities, asked: str) -> Any:
    return getattr(trt.HardwareCompatibilityLevel, _level_name(can, asked))


def _check_dla(can: Capabilities, config: TensorRTConfig) -> None:
    if not can.dla:
        raise MissingError(f"No engine for a DLA can be built here: {can.dla_refusal}.",
                           fix="Build for the GPU: leave dla_core out.")
    if not config.min_batch == config.opt_batch == config.max_batch:
        raise UserError("A DLA takes one batch size only.", where="min_batch, opt_batch, max_batch",
                        fix="Set all three to the batch that will be deployed.")


def _choose_dla(trt: Any, builder: Any, made: Any, core: int) -> None:
    if core >= builder.num_DLA_cores:
        raise MissingError(f"There is no DLA core {core}: this machine has {builder.num_DLA_cores}.",
                           fix="Build for the GPU: leave dla_core out.")
    made.default_device_type = trt.DeviceType.DLA
    made.DLA_core = core
    made.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # what a DLA can't do, the GPU does


def _profile(builder: Any, shapes: Mapping[str, ShapeRange]) -> Any:
    profile = builder.create_optimization_profile()
    for name, sizes in shapes.items():
        profile.set_shape(name, tuple(sizes.min), tuple(sizes.opt), tuple(sizes.max))
    return profile


def _add(made: Any, profile: Any, shapes: Mapping[str, ShapeRange]) -> None:
    if made.add_optimization_profile(profile) >= 0:
        return
    ranges = "; ".join(f"{name} from {sizes.min} over {sizes.opt} to {sizes.max}" for name, sizes in shapes.items())
    raise UserError(f"TensorRT {capabilities().version} refuses this range of shapes: {ranges}.",
                    fix="Choose others with --min-batch, --opt-batch, --max-batch and --shape.")


__all__ = ["builder_config", "check_options"]
