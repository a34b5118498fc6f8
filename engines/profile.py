"""How fast is it? An engine beside the FP32 graph of the same network, or a deployed model alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..common import bundle as bundles
from ..common import console, files, machine
from ..common.bundle import Bundle
from ..common.errors import MissingError, UserError
from . import backend as backends
from .backend import Arrays, Runner
from .config import EngineConfig, OnnxRuntimeConfig, ProfileConfig
from .folder import open_engine
from .intervals import Times
from .records import PROFILE, EngineRecord, Gate, Latency, ProfileRecord, Ratio
from .samples import batch_of, random_inputs
from .statistics import latency, ratio
from .timing import interleaved

PER_BATCH = 100  # steps of progress for each batch size
Inputs = Callable[[int], Arrays]
Steps = Callable[[int], None]


def profile(
    backend: str, arms: Mapping[str, Runner], inputs: Arrays | Inputs, config: ProfileConfig,
    on_step: Steps | None = None, threads: int | None = None,
) -> ProfileRecord:
    """Time one or several loaded engines on the same inputs, taking turns.

    A time goes from inputs in the host's memory to outputs in the host's memory.

    Args:
        backend: name for the record.
        arms: what is timed, by name; the first is compared with each of the others and held to the gates.
        inputs: samples by input name, first axis the batch, cut or repeated to each batch size; or a function that
            makes them for a batch size.
        config: batch sizes, time, runs and gates.
        on_step: told `PER_BATCH` steps for each batch size. Defaults to nothing.
        threads: of one inference, for the record. Defaults to every usable core.

    Raises:
        UserError: an arm refuses a batch size, or a gate on the speed-up has nothing to compare with.
    """
    if config.min_speedup is not None and len(arms) < 2:
        raise UserError("A least speed-up was asked for, but there is no baseline to compare with.",
                        where="profile.min_speedup", fix="Profile an engine folder, or leave this gate out.")
    make = inputs if callable(inputs) else partial(batch_of, inputs)
    for batch in config.batch:
        _try(arms, make(batch), batch)
    latencies: list[Latency] = []
    ratios: list[Ratio] = []
    for batch in config.batch:
        rounds = _time(arms, make(batch), config, on_step)
        latencies += [latency(arm, batch, np.concatenate(times)) for arm, times in rounds.items()]
        ratios += _ratios(rounds, batch)
    described = machine.describe()
    return ProfileRecord(
        backend=backend, options=config, machine=described | {"threads": threads or described["cores"]},
        latencies=latencies, ratios=ratios, gates=gates(config, latencies, ratios),
    )


def profile_engine(
    folder: Path, config: ProfileConfig, bundle: Path | None = None, engine: EngineConfig | None = None,
    trust: bool = False,
) -> ProfileRecord:
    """Time a built engine beside what its backend compares it with, on the bundle's real inputs.

    Writes `profile/profile.json`.

    Args:
        folder: the engine's folder.
        config: batch sizes, time, runs and gates; a gate that isn't met is in the record, not raised.
        bundle: the bundle's folder. Defaults to where the engine says it lies.
        engine: whatever of it was given replaces what the engine was built with, such as `threads`, for all arms.
            Defaults to nothing.
        trust: see `Backend.load`. Defaults to False.

    Raises:
        UserError: no whole engine or bundle there, or a batch size that the engine refuses.
        MissingError: this machine lacks what the backend needs.
    """
    record, source = open_engine(folder, bundle)
    options = _replaced(record.options, engine)
    measured = backends.find(record.backend).profile(folder, record, source, config, options, trust=trust)
    result = measured.model_copy(update={"engine": record.files[record.engine]})
    files.write_json(folder / "profile" / PROFILE, result.model_dump(mode="json"))
    return result


def _replaced(built: EngineConfig, asked: EngineConfig | None) -> EngineConfig:
    if asked is None or type(asked) is not type(built):
        return built
    given = {name: getattr(asked, name) for name in asked.model_fields_set if getattr(asked, name) is not None}
    return built.model_copy(update=given)


def profile_beside_fp32(
    folder: Path, record: EngineRecord, source: Bundle, config: ProfileConfig, options: OnnxRuntimeConfig
) -> ProfileRecord:
    """Time an engine beside its FP32 baseline by the host's clock; see `profile_engine`."""
    assert record.baseline is not None
    runs = backends.find(record.backend)
    arms: dict[str, Runner] = {}
    try:
        for name, file in (("int8", record.engine), ("fp32", record.baseline)):
            arms[name] = runs.load(folder / file, options)
        return _watched(record.backend, arms, source.arrays(bundles.REFERENCE, "inputs"), config, options)
    finally:
        for arm in arms.values():
            arm.close()


def profile_model(
    path: Path, config: ProfileConfig, engine: EngineConfig, shapes: Mapping[str, Sequence[int]] | None = None,
    trust: bool = False,
) -> ProfileRecord:
    """Time a model file that is already deployed, on random inputs; writes nothing.

    Args:
        path: the file.
        config: batch sizes, time, runs and gates.
        engine: backend and its options.
        shapes: see `samples.random_inputs`. Defaults to none: dynamic dimensions but the batch are 1.
        trust: see `Backend.load`. Defaults to False.

    Raises:
        UserError: no such file there, a wrong shape, or a batch size that the model refuses.
        MissingError: this machine lacks what the backend needs.
    """
    return backends.find(engine.backend).profile_model(path, config, engine, shapes or {}, trust=trust)


def profile_onnx(
    path: Path, config: ProfileConfig, options: OnnxRuntimeConfig, shapes: Mapping[str, Sequence[int]]
) -> ProfileRecord:
    """Time a plain ONNX file by the host's clock; see `profile_model`."""
    make = partial(random_inputs, path, shapes=shapes)
    make(config.batch[0])
    runner = backends.find(options.backend).load(path, options)
    try:
        return _watched(options.backend, {path.stem: runner}, make, config, options)
    finally:
        runner.close()


def _watched(
    backend: str, arms: Mapping[str, Runner], inputs: Arrays | Inputs, config: ProfileConfig, options: OnnxRuntimeConfig
) -> ProfileRecord:
    with console.progress("profile", PER_BATCH * len(config.batch), still=True) as advance:
        return profile(backend, arms, inputs, config, advance, options.threads)


def _try(arms: Mapping[str, Runner], inputs: Arrays, batch: int) -> None:
    for name, arm in arms.items():
        try:
            arm.infer(inputs)
        except MissingError:
            raise
        except Exception as error:  # each runtime has errors of its own
            raise UserError(f"{name} refuses a batch of {batch}: {error}", where="profile.batch",
                            fix="Ask for the batch size that the model was exported with.") from error


def _time(
    arms: Mapping[str, Runner], inputs: Arrays, config: ProfileConfig, on_step: Steps | None
) -> dict[str, list[Times]]:
    told = 0

    def on_progress(share: float) -> None:
        nonlocal told
        steps = int(PER_BATCH * share) - told
        if on_step is not None and steps:
            on_step(steps)
        told += steps

    calls: dict[str, Callable[[], Any]] = {name: partial(arm.infer, inputs) for name, arm in arms.items()}
    return interleaved(
        calls, seconds=config.seconds, runs=config.runs, warmup=config.warmup, on_progress=on_progress
    )


def _ratios(rounds: dict[str, list[Times]], batch: int) -> list[Ratio]:
    first, *others = rounds
    return [ratio(first, other, batch, rounds[first], rounds[other]) for other in others]


def gates(config: ProfileConfig, latencies: list[Latency], ratios: list[Ratio]) -> list[Gate]:
    """Judge the gates, by the first of the latencies and the first of the ratios.

    Of an arm that was built several times, the first build is the engine, and is what the latency is asked of.
    """
    found = []
    if (limit := config.max_latency_ms) is not None:
        value = (latencies[0].builds or [latencies[0].p50])[0]
        found.append(Gate(name="max_latency_ms", limit=limit, value=value, met=value <= limit))
    if (limit := config.min_speedup) is not None:
        value, known = ratios[0].low, ratios[0].verdict != "unknown"
        found.append(Gate(name="min_speedup", limit=limit, value=value, met=known and value >= limit))
    return found


__all__ = ["PER_BATCH", "gates", "profile", "profile_beside_fp32", "profile_engine", "profile_model", "profile_onnx"]
