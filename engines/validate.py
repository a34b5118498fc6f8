"""How accurate is it? An engine against PyTorch's recorded answers, and the task metric on real samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..common import bundle as bundles
from ..common import console, files
from ..common.agreement import LIMIT_DB, agreement
from ..common.bundle import Agreement, Bundle
from ..common.errors import MissingError, UserError
from . import backend as backends
from .backend import Arrays, Runner
from .config import ValidateConfig
from .folder import open_engine
from .metrics import correct
from .records import VALIDATION, EngineRecord, Gate, LayerDifference, ValidationRecord

BATCH = 64  # samples per inference: bounds the memory, whatever the number of samples
Steps = Callable[[int], None]


def validate_engine(
    folder: Path, bundle: Path | None, config: ValidateConfig, trust: bool = False
) -> ValidationRecord:
    """Judge a built engine; writes `validate/validation.json`, whether its gates are met or not.

    Args:
        folder: the engine's folder.
        bundle: the bundle's folder, or None for where the engine says it lies.
        config: metric and gates; a gate that isn't met is in the record, not raised.
        trust: see `Backend.load`. Defaults to False.

    Raises:
        UserError: no whole engine or bundle there, or samples that the engine refuses.
        MissingError: this machine lacks what the backend needs.
    """
    record, source = open_engine(folder, bundle)
    runs = backends.find(record.backend)
    layers = runs.compare_layers(folder, record, source)
    runner = runs.load(folder / record.engine, record.options, trust=trust)
    try:
        result = judge(record, source, runner, config, layers)
    finally:
        runner.close()
    files.write_json(folder / "validate" / VALIDATION, result.model_dump(mode="json"))
    return result


def judge(
    record: EngineRecord, source: Bundle, runner: Runner, config: ValidateConfig, layers: list[LayerDifference]
) -> ValidationRecord:
    """The record of a loaded engine; see `validate_engine`."""
    reference, samples = source.arrays(bundles.REFERENCE, "inputs"), source.arrays(bundles.EVAL, "inputs")
    with console.progress("validate", _count(reference) + _count(samples)) as advance:
        alike = _agreement(runner, reference, source.arrays(bundles.REFERENCE, "outputs"), advance)
        value, count = evaluate(runner, samples, _targets(source), source.manifest.outputs[0].name, advance)
    dense = _dense(source, config.metric)
    return ValidationRecord(
        backend=record.backend, options=config, agreement=alike, noise_floor=source.manifest.noise_floor,
        metric=config.metric, samples=count, value=value, pytorch_value=source.manifest.eval_metric,
        dense_value=dense, layers=layers, gates=_gates(config, alike, value, dense, source.manifest.eval_metric),
    )


def _dense(source: Bundle, metric: str) -> float | None:
    same = source.manifest.dense_eval_metric
    return source.manifest.metrics.get("dense", {}).get(metric) if same is None else same


def evaluate(
    runner: Runner, inputs: Arrays, targets: np.ndarray[Any, Any], output: str, on_step: Steps
) -> tuple[float, int]:
    """Accuracy over all samples, and their number.

    Args:
        runner: the engine.
        inputs: samples by input name.
        targets: integer classes, one row per sample.
        output: which output holds the class scores.
        on_step: told the samples of each batch.

    Raises:
        UserError: targets that don't fit, an output that isn't there, or a batch that the engine refuses.
    """
    if len(targets) != _count(inputs):
        raise UserError(f"{bundles.EVAL} holds {_count(inputs)} inputs but {len(targets)} targets.")
    right = total = start = 0
    for size, outputs in _batches(runner, inputs, on_step):
        if output not in outputs:
            raise UserError(f"The engine has no output {output!r}; it has: {', '.join(outputs)}.")
        hits, seen = correct(outputs[output], targets[start : start + size])
        right, total, start = right + hits, total + seen, start + size
    return right / total, start


def _agreement(runner: Runner, inputs: Arrays, expected: dict[str, np.ndarray[Any, Any]], on_step: Steps) -> Agreement:
    parts = [outputs for _, outputs in _batches(runner, inputs, on_step)]
    return agreement(expected, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _batches(runner: Runner, inputs: Arrays, on_step: Steps) -> Iterator[tuple[int, dict[str, np.ndarray[Any, Any]]]]:
    count = _count(inputs)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        yield size, _infer(runner, {name: value[start : start + size] for name, value in inputs.items()}, start)
        on_step(size)


def _infer(runner: Runner, inputs: Arrays, start: int) -> dict[str, np.ndarray[Any, Any]]:
    try:
        return runner.infer(inputs)
    except MissingError:
        raise
    except Exception as error:  # each runtime has errors of its own
        raise UserError(f"The engine refuses the samples from number {start} on: {error}",
                        fix="Validate an engine with a dynamic batch, built from this very bundle.") from error


def _count(inputs: Arrays) -> int:
    lengths = {len(value) for value in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise UserError(f"The bundle's inputs hold {sorted(lengths)} samples; each must hold the same number, not 0.",
                        fix="Export the bundle again.")
    return lengths.pop()


def _targets(source: Bundle) -> np.ndarray[Any, Any]:
    arrays = files.load_npz(source.folder / bundles.EVAL)
    if "targets" not in arrays:
        raise UserError("This file holds no targets.", where=str(source.folder / bundles.EVAL), fix="Export it again.")
    return arrays["targets"]


def _gates(config: ValidateConfig, alike: Agreement, value: float, dense: float | None, fake: float) -> list[Gate]:
    gates = []
    if (limit := config.max_drop) is not None:
        name, drop = ("max_drop", dense - value) if dense is not None else ("max_drop_from_pytorch_int8", fake - value)
        gates.append(Gate(name=name, limit=limit, value=drop, met=drop <= limit + 1e-9))
    if (limit := config.min_agreement) is not None:
        gates.append(Gate(name="min_agreement", limit=limit, value=alike.predictions, met=alike.predictions >= limit))
    if (limit := config.min_snr_db) is not None:
        value_db = float("inf") if alike.snr_db is None else alike.snr_db
        gates.append(Gate(name="min_snr_db", limit=limit, value=min(value_db, LIMIT_DB), met=value_db >= limit))
    return gates


__all__ = ["BATCH", "evaluate", "judge", "validate_engine"]
