"""How fast is a TensorRT engine? Beside the arms that tell where its speed comes from, or a deployed plan alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ...common import bundle as bundles
from ...common import console, machine
from ...common.bundle import Bundle
from ...common.errors import MissingError, UserError
from ..backend import Arrays
from ..config import ProfileConfig, TensorRTConfig
from ..cuda.advice import advice
from ..cuda.api import CudaError
from ..cuda.device import device
from ..profile import gates
from ..records import EngineRecord, ProfileRecord
from ..samples import batch_of
from . import doubts
from .arms import own_arm
from .capabilities import capabilities
from .inspect import LAYERS
from .inspector import parse
from .join import join
from .layer_times import layer_times
from .loading import fitting, load_arms, run, warn_of_room
from .made_up import random_batch
from .onnx_file import build_onnx
from .plan import read_plan
from .ports import Ports
from .rebuilds import Rebuilds, rebuild
from .runner import TensorRTRunner
from .session import Inputs, Measured, run_session
from .trtexec_check import trtexec_check

_NOT_OF_THE_PLAN = {"optional", "timing_cache"}


def profile_arms(
    folder: Path, record: EngineRecord, source: Bundle, config: ProfileConfig, options: TensorRTConfig, *,
    trust: bool = False,
) -> ProfileRecord:
    """Time an engine beside the arms of `config.gpu`, on the bundle's real inputs; arms that are missing are built.

    Args:
        folder: the engine's folder.
        record: of the engine.
        source: the bundle that it was built from.
        config: batch sizes, time, runs, gates, arms and ways.
        options: of the engine; whatever differs from what it was built with is refused.
        trust: load the engine also if it wasn't built by this user on this machine; the others are built anyway.

    Raises:
        UserError: the engine isn't trusted, doesn't take a batch size, or a gate or an option can't be judged.
        MissingError: TensorRT or the GPU is missing, or memory is short.
        CudaError: CUDA or TensorRT failed.
    """
    built = record.options
    assert isinstance(built, TensorRTConfig)
    _check_options(built, options)
    _check_gate(config, [own_arm(built), *config.gpu.arms])
    reference = source.arrays(bundles.REFERENCE, "inputs")
    with ExitStack() as held:
        plan = folder / record.engine
        engine = run(read_plan(plan, record, trust=trust), plan, held)
        for batch in config.batch:
            engine.take(batch_of(reference, batch))
        warn_of_room(engine, plan, len({own_arm(built), *config.gpu.arms}), config.gpu)
        found = rebuild(folder, record, source, built, config.gpu)
        _check_baseline(config, found, own_arm(built))
        with fitting(found):
            arms = load_arms(found, {plan: engine}, built, held)
            measured = run_session(arms, partial(batch_of, reference), config)
        shares = _shares(engine, batch_of(reference, config.batch[0]))
        shapes = _dynamic(engine.ports, batch_of(reference, config.batch[0]))
    check = trtexec_check(plan, shapes, measured.latencies[0], config.seconds, spin=config.gpu.spin)
    told = [
        *doubts.of_builds(found.builds, config.gpu.rebuilds, record.layers, list(found.plans)),
        *doubts.of_settings(config.gpu, built, config.batch), *_doubts(measured), *doubts.of_second_opinion(check),
    ]
    return _record(config, measured).model_copy(update={
        "builds": found.builds, "warnings": _warn(told), "layer_shares": shares,
        "node_shares": _node_shares(folder, record, shares), "trtexec": check,
    })


def profile_plan(
    path: Path, config: ProfileConfig, options: TensorRTConfig, shapes: Mapping[str, Sequence[int]], *,
    trust: bool = False,
) -> ProfileRecord:
    """Time a plan that is already deployed, or what TensorRT makes of an ONNX file, on random inputs; writes nothing.

    Args:
        path: the plan, or an ONNX file (`.onnx`), which is typed and built first.
        config: batch sizes, time, runs and ways.
        options: of the build of an ONNX file; its batches are widened to those that are timed.
        shapes: see `random_batch`.
        trust: load a plan also if it wasn't built by this user on this machine.

    Raises:
        UserError: no plan, one that isn't trusted, a wrong shape, or a batch size that it refuses.
        MissingError: TensorRT or the GPU is missing, or memory is short.
        CudaError: CUDA or TensorRT failed.
    """
    _check_gate(config, [path.stem])
    with ExitStack() as held:
        plain = path.suffix == ".onnx"
        opened = build_onnx(path, config.batch, options, shapes) if plain else read_plan(path, None, trust=trust)
        engine = run(opened, path, held)
        make: Inputs = partial(random_batch, engine.ports, shapes=shapes)
        for batch in config.batch:
            engine.take(make(batch))
        measured = run_session({path.stem: [engine]}, make, config)
        shares = _shares(engine, make(config.batch[0]))
    return _record(config, measured).model_copy(update={"layer_shares": shares, "warnings": _warn(_doubts(measured))})


def _check_options(built: TensorRTConfig, asked: TensorRTConfig) -> None:
    other = [name for name, value in built.model_dump(exclude=_NOT_OF_THE_PLAN).items()
             if value != asked.model_dump()[name]]
    if other:
        raise UserError(f"An engine is profiled as it was built; this one was built with another {other[0]}.",
                        where=other[0], fix="Build it again with `twofour build`, or leave the option out.")


def _check_gate(config: ProfileConfig, arms: Sequence[str]) -> None:
    """Refuse, before anything is built, a gate that nothing could meet."""
    if config.min_speedup is None:
        return
    if len(set(arms)) < 2:
        raise UserError("A least speed-up was asked for, but there is no baseline to compare with.",
                        where="profile.min_speedup", fix="Profile an engine folder, or leave this gate out.")
    if config.gpu.rebuilds < 2:
        raise UserError("A least speed-up can't be judged where each arm is built once: nobody knows how much two "
                        "builds differ.", where="profile.gpu.rebuilds", fix="Ask for 3 builds, or leave the gate out.")


def _check_baseline(config: ProfileConfig, found: Rebuilds, own: str) -> None:
    """The gate compares with the first arm, not with the first that is left."""
    first = next((arm for arm in config.gpu.arms if arm != own), None)
    if config.min_speedup is not None and first not in found.plans:
        raise MissingError(f"The GPU was short of memory in every build of {first}, which the gate on the speed-up "
                           "compares with.", where="profile.min_speedup",
                           fix=f"{advice(device()).memory} and profile again.")


def _shares(engine: TensorRTRunner, inputs: Arrays) -> dict[str, float]:
    """Each layer's part of the time; empty, and said, where TensorRT doesn't tell: all else is measured by then."""
    try:
        return layer_times(engine, inputs)
    except CudaError as error:
        console.warn(f"The layers' shares of the time are not known: {error}")
        return {}


def _dynamic(ports: Ports, inputs: Arrays) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs that have dynamic dimensions."""
    return {name: value.shape for name, value in inputs.items() if -1 in ports.inputs[name].shape}


def _record(config: ProfileConfig, measured: Measured) -> ProfileRecord:
    return ProfileRecord(
        backend="tensorrt", options=config, machine=machine.describe() | _gpu(),
        latencies=measured.latencies, ratios=measured.ratios,
        gates=gates(config, measured.latencies, measured.ratios), modes=measured.others,
        gpu_before=measured.before, gpu_after=measured.after,
    )


def _gpu() -> dict[str, Any]:
    gpu = device()
    return {
        "gpu": gpu.name, "gpu_uuid": gpu.uuid, "gpu_memory_bytes": gpu.memory_bytes,
        "compute_capability": ".".join(map(str, gpu.compute_capability)), "driver_cuda": gpu.driver_cuda,
        "runtime_cuda": gpu.runtime_cuda, "tensorrt": capabilities().version,
    }


def _doubts(measured: Measured) -> list[str]:
    times = [*measured.latencies, *(item for mode in measured.others for item in mode.latencies)]
    refused = [f"No CUDA graph at batch {batch}: {reason.rstrip('.')}. All arms were launched plainly."
               for batch, reason in measured.refusals.items()]
    return [*refused, *doubts.of_times(times, advice(device()).clocks), *doubts.of_gpu(measured.before, measured.after)]


def _warn(texts: list[str]) -> list[str]:
    for text in texts:
        console.warn(text)
    return texts


def _node_shares(folder: Path, record: EngineRecord, shares: Mapping[str, float]) -> dict[str, float]:
    """By weighted ONNX node; empty where the engine's layers aren't on record."""
    if LAYERS not in record.files:
        return {}
    layers = parse((folder / LAYERS).read_text(encoding="utf-8"))
    joined = join([layer.name for layer in record.layers], layers, shares)
    return {name: one.share for name, one in joined.items() if one.share is not None}


__all__ = ["profile_arms", "profile_plan"]
