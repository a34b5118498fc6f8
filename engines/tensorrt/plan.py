"""From a plan's bytes to a TensorRT engine. Before any of it is executed, it is checked where it comes from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common import console
from ...common.errors import MissingError, TwofourError, UserError
from ..config import HardwareCompatibility, TensorRTConfig
from ..cuda.advice import advice
from ..cuda.device import Device, device
from ..records import ENGINE, EngineRecord, TensorRTBuild, read_engine
from .capabilities import capabilities
from .logger import Log, logger
from .plan_header import PlanHeader, plan_header
from .signature import is_ours
from .sparsity_log import out_of_memory
from .start import start

_AMPERE = (8, 0)
_MIB = 1 << 20
_KEPT = 1000  # lines of an engine's log: on the default stream, TensorRT warns at every inference
_FIX = "Build it again with `twofour build`."
_REBUILD = "Build the bundle again on this machine with `twofour build`."


@dataclass(frozen=True)
class Opened:
    """A deserialized engine.

    Attributes:
        engine: the `trt.ICudaEngine`.
        log: what TensorRT says of it, also later.
        keep: the `trt.Runtime` and the logger, which must outlive the engine.
    """

    engine: Any
    log: Log
    keep: tuple[Any, ...]


def read_plan(path: Path, record: EngineRecord | None, *, trust: bool) -> Opened:
    """Load a plan file.

    Args:
        path: the file.
        record: of the engine folder that it belongs to. Read from `engine.json` beside it if None.
        trust: load it also if it wasn't built by this user on this machine.

    Raises:
        UserError: the file is missing, damaged, or no plan; it is of another TensorRT or GPU; or it may run code of
            someone else and isn't trusted.
        MissingError: TensorRT or the GPU is missing, or the GPU has too little memory.
    """
    if not path.is_file():
        raise UserError("This plan is missing.", where=str(path), fix=_FIX)
    record = record or _record_of(path)
    header = plan_header(path)
    if not header.plan:
        raise UserError("This file is no TensorRT plan, or is damaged.", where=str(path), fix=_FIX)
    config = record.options if record is not None and isinstance(record.options, TensorRTConfig) else None
    built = record.tensorrt if record is not None else None
    _check_version(header, built, config, path)
    if built is not None:
        _check_device(built, config.hardware_compatibility if config else "none", device(), path)
    plan = path.read_bytes()
    _check_trust(plan, record, path, trust=trust)
    return open_plan(plan[header.wrapped:], config or TensorRTConfig(version_compatible=True), str(path))


def open_plan(plan: bytes, config: TensorRTConfig, where: str) -> Opened:
    """Deserialize a plan that is trusted.

    Args:
        plan: its bytes.
        config: what it was built with. Code in it may run only if it is version compatible.
        where: its name, for errors.

    Raises:
        UserError: TensorRT refuses it.
        MissingError: TensorRT or the GPU is missing, or the GPU has too little memory.
    """
    gpu = device()
    log = Log(most=_KEPT)
    speaker = logger(log)
    runtime = start("Runtime", speaker, log, gpu)
    if config.version_compatible:
        runtime.engine_host_code_allowed = True
    if config.dla_core is not None:
        runtime.DLA_core = config.dla_core
    engine = runtime.deserialize_cuda_engine(plan)
    if log.interrupted:
        raise KeyboardInterrupt
    if engine is None:
        raise _refused(log, len(plan), gpu, where)
    return Opened(engine, log, (runtime, speaker))


def _record_of(path: Path) -> EngineRecord | None:
    """The record beside a plan, if it lists that plan; reading it checks the plan's hash."""
    if not (path.parent / ENGINE).is_file():
        return None
    record = read_engine(path.parent)
    return record if path.name == record.engine else None


def _check_version(header: PlanHeader, built: TensorRTBuild | None, config: TensorRTConfig | None, path: Path) -> None:
    """The same release; of a version-compatible plan, also a later one."""
    made, ours = built.version if built is not None else header.version, capabilities().version
    if made is None or _numbers(made) == _numbers(ours):
        return
    portable = config is None or config.version_compatible  # nobody knows without a record: TensorRT will say
    if portable and _numbers(made) < _numbers(ours):
        return
    raise UserError(
        f"This plan was built by TensorRT {made}; installed is {ours}.", where=str(path),
        fix=f"{_REBUILD} Or install that release." + ("" if portable else " Plans for later releases are built with "
                                                      "--version-compatible."),
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Major, minor and patch; TensorRT doesn't tell builds of one release apart here."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _check_device(built: TensorRTBuild, level: HardwareCompatibility, here: Device, path: Path) -> None:
    made = tuple(built.gpu.get("compute_capability", here.compute_capability))
    name = str(built.gpu.get("name", here.name))
    suits = here.compute_capability >= _AMPERE if level == "ampere_plus" else made == here.compute_capability
    if not suits:
        raise UserError(
            f"This plan was built for {name} (compute capability {_dotted(made)}); this machine has {here.name} "
            f"({_dotted(here.compute_capability)}).", where=str(path), fix=_REBUILD,
        )
    if name != here.name and level == "none":
        console.warn(f"This plan was built on {name}; its kernels were chosen there, not for {here.name}.")


def _dotted(capability: tuple[int, ...]) -> str:
    return ".".join(map(str, capability))


def _check_trust(plan: bytes, record: EngineRecord | None, path: Path, *, trust: bool) -> None:
    """Refuse a plan that isn't what its record says, or, unless it is trusted, one that wasn't built here."""
    digest = hashlib.sha256(plan).hexdigest()
    if record is not None and record.files.get(record.engine) not in (None, digest):
        raise UserError("This plan is damaged: its hash is not the one on record.", where=str(path), fix=_FIX)
    if trust or (record is not None and record.tensorrt is not None and is_ours(digest, record.tensorrt.signature)):
        return
    raise UserError(
        "This plan was not built by you on this machine, and a plan can execute code.", where=str(path),
        fix=f"{_REBUILD} Or load it with --trust if you trust where it comes from.",
    )


def _refused(log: Log, size: int, gpu: Device, where: str) -> TwofourError:
    reason = "; ".join(log.errors()) or "it does not say why"
    if out_of_memory(log.texts()):
        return MissingError(
            f"The GPU has too little free memory to load this plan of {size // _MIB} MiB ({reason}).",
            where=f"{where}, {gpu.name}, {gpu.memory_bytes // _MIB} MiB",
            fix=f"{advice(gpu).memory}.",
        )
    return UserError(f"TensorRT {capabilities().version} can't load this plan: {reason}", where=where, fix=_REBUILD)


__all__ = ["Opened", "open_plan", "read_plan"]
