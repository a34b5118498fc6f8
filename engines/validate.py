"""How accurate is it? An engine against the recorded answers of the reference, and the task metric on real samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..common import bundle as bundles
from ..common import console, files
from ..common.agreement import LIMIT_DB, agreement
from ..common.bundle import Agreement, Bundle, Manifest
from ..common.errors import UserError
from ..common.metric import DISTANCE, METRICS, loss_of
from . import backend as backends
from . import three_ways
from .answers import BATCH, Sizes, Steps, answers, count_of, full_rows, in_batches, sizes_of
from .backend import Arrays, Runner
from .config import ValidateConfig
from .finite import refuse_nan
from .folder import open_engine
from .metrics import Accuracy, Measure, measure_of
from .records import PYTORCH, SAMPLES, VALIDATION, BatchAgreement, EngineRecord, Gate, LayerDifference, ValidationRecord

Keep = Callable[[np.ndarray[Any, Any] | None], None]
_LAYERS = "`twofour validate --layers` builds it once more and shows at which layer they part."


def validate_engine(
    folder: Path, bundle: Path | None, config: ValidateConfig, trust: bool = False, layers: bool | None = None
) -> ValidationRecord:
    """Judge a built engine; writes `validate/validation.json`, whether its gates are met or not.

    Beside it, of an engine that makes pictures, `samples.npz`: `pictures`, its answers to the first samples of the
    reference, the same ones as in the bundle's `pictures.npz`.

    Args:
        folder: the engine's folder.
        bundle: the bundle's folder, or None for where the engine says it lies.
        config: metric and gates; a gate that isn't met is in the record, not raised.
        trust: see `Backend.load`. Defaults to False.
        layers: compare engine and reference layer by layer. Defaults to None: where that doesn't take a second build.

    Raises:
        UserError: no whole engine or bundle there, samples that the engine refuses, or NaN in its inputs.
        MissingError: this machine lacks what the backend needs.
        CudaError: the GPU failed, or has not enough memory.
    """
    record, source = open_engine(folder, bundle)
    runs = backends.find(record.backend)
    costly = getattr(runs, "layers_cost_a_build", False)
    wanted = not costly if layers is None else layers
    differences = runs.compare_layers(folder, record, source) if wanted else []
    runner = runs.load(folder / record.engine, record.options, trust=trust)
    try:
        graphs = three_ways.graphs_of(folder, record, source)
        result = judge(record, source, runner, config, differences, graphs, partial(_keep, folder / "validate"))
    finally:
        runner.close()
    if not wanted and (result.findings or not all(gate.met for gate in result.gates)):
        result = result.model_copy(update={"findings": [*result.findings, _LAYERS]})
    files.write_json(folder / "validate" / VALIDATION, result.model_dump(mode="json"))
    return result


def _keep(folder: Path, pictures: np.ndarray[Any, Any] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if pictures is None:
        (folder / SAMPLES).unlink(missing_ok=True)
    else:
        files.save_npz(folder / SAMPLES, {"pictures": pictures})


def judge(
    record: EngineRecord, source: Bundle, runner: Runner, config: ValidateConfig, layers: list[LayerDifference],
    graphs: dict[str, Path] | None = None, keep: Keep | None = None,
) -> ValidationRecord:
    """The record of a loaded engine; see `validate_engine`.

    An engine that was built for a range of batches answers in batches of the size that it was tuned for, and then, on
    `reference.npz`, of the smallest and largest size too; gates on the agreement are held to the worst of them.

    Args:
        record: `engine.json`.
        source: its bundle.
        runner: the engine.
        config: metric and gates.
        layers: differences by layer, for the record.
        graphs: ONNX files of the same network, by name; each is run on ONNX Runtime and compared. Defaults to none.
        keep: told the engine's answers to the first samples of the reference where they are pictures, else None.
            Defaults to nobody.
    """
    reference, samples = source.arrays(bundles.REFERENCE, "inputs"), source.arrays(bundles.EVAL, "inputs")
    named = source.manifest.source.file if source.manifest.source else PYTORCH
    metric, output, measure = source.manifest.metric, source.manifest.outputs[0].name, measure_of(source)
    compare = partial(agreement, data_range=source.data_range)
    refuse_nan(reference, str(source.folder / bundles.REFERENCE))
    refuse_nan(samples, str(source.folder / bundles.EVAL))
    expected, floor, sizes = source.arrays(bundles.REFERENCE, "outputs"), source.manifest.noise_floor, sizes_of(runner)
    with console.progress("validate", _steps(reference, samples, sizes, len(graphs or {}))) as advance:
        found = answers(runner, reference, sizes.usual, sizes.low, advance)
        alike = compare(expected, found)
        beside = three_ways.beside_graphs
        runtimes = beside(record.backend, graphs, reference, expected, found, advance, named, compare) if graphs else []
        batches = three_ways.over_batches(runner, sizes, reference, expected, found, floor, advance, compare)
        value, count = evaluate(runner, samples, _targets(source), output, advance, sizes, measure)
    if keep is not None:
        keep(None if source.data_range is None else found[output][: bundles.SHOWN])
    dense, options = _dense(source, metric), {"metric": metric} if metric in METRICS else {}
    return ValidationRecord(
        backend=record.backend, options=config.model_copy(update=options), agreement=alike, noise_floor=floor,
        metric=metric, samples=count, value=value, pytorch_value=source.manifest.eval_metric,
        dense_value=dense, layers=layers,
        gates=_gates(config, _worst(alike, batches), value, dense, source.manifest),
        runtimes=runtimes, batches=batches, findings=three_ways.findings(runtimes, batches, config, named),
        feature_distances=_distances(measure.metrics(), source.manifest),
        reference=named,
    )


def _steps(reference: Arrays, samples: Arrays, sizes: Sizes, graphs: int) -> int:
    count = count_of(reference)
    return count * (1 + graphs) + count_of(samples) + sum(len(full_rows(count, size)) for size in sizes.shown)


def _worst(alike: Agreement, batches: list[BatchAgreement]) -> Agreement:
    """The least agreeing one, with the least ratio, of any batch size."""
    rows = [alike, *(row.agreement for row in batches)]
    ratios = [row.snr_db for row in rows if row.snr_db is not None]
    return min(rows, key=lambda row: row.score).model_copy(update={"snr_db": min(ratios, default=None)})


def _distances(found: dict[str, float], manifest: Manifest) -> dict[str, float]:
    return {"engine": found[DISTANCE], **manifest.feature_distances} if DISTANCE in found else {}


def _dense(source: Bundle, metric: str) -> float | None:
    same = source.manifest.dense_eval_metric
    return source.manifest.metrics.get("dense", {}).get(metric) if same is None else same


def evaluate(
    runner: Runner, inputs: Arrays, targets: np.ndarray[Any, Any], output: str, on_step: Steps,
    sizes: Sizes | None = None, measure: Measure | None = None,
) -> tuple[float, int]:
    """The task's metric over all samples, and their number.

    Args:
        runner: the engine.
        inputs: samples by input name.
        targets: integer classes, or pictures, one row per sample.
        output: which output holds the class scores or pictures.
        on_step: told the samples of each batch.
        sizes: the batches that the engine takes. Defaults to what the runner says.
        measure: gathers the metric. Defaults to accuracy.

    Raises:
        UserError: targets that don't fit, an output that isn't there, or a batch that the engine refuses.
    """
    if len(targets) != count_of(inputs):
        raise UserError(f"{bundles.EVAL} holds {count_of(inputs)} inputs but {len(targets)} targets.")
    sizes = sizes or sizes_of(runner)
    measure, start = measure or Accuracy(), 0
    for size, outputs in in_batches(runner, inputs, sizes.usual, sizes.low, on_step):
        if output not in outputs:
            raise UserError(f"The engine has no output {output!r}; it has: {', '.join(outputs)}.")
        measure.see(outputs[output], targets[start : start + size])
        start += size
    return next(iter(measure.metrics().values())), start


def _targets(source: Bundle) -> np.ndarray[Any, Any]:
    arrays = files.load_npz(source.folder / bundles.EVAL)
    if "targets" not in arrays:
        raise UserError("This file holds no targets.", where=str(source.folder / bundles.EVAL), fix="Export it again.")
    return arrays["targets"]


def _gates(config: ValidateConfig, alike: Agreement, value: float, dense: float | None, source: Manifest) -> list[Gate]:
    gates = []
    if (limit := config.max_drop) is not None:
        fake = "max_drop_from_source" if source.source else "max_drop_from_pytorch_int8"
        name, whole = ("max_drop", dense) if dense is not None else (fake, source.eval_metric)
        drop = loss_of(source.metric, whole, value)
        gates.append(Gate(name=name, limit=limit, value=drop, met=drop <= limit + 1e-9))
    if (limit := config.min_agreement) is not None:
        gates.append(Gate(name="min_agreement", limit=limit, value=alike.score, met=alike.score >= limit))
    if (limit := config.min_snr_db) is not None:
        value_db = float("inf") if alike.snr_db is None else alike.snr_db
        gates.append(Gate(name="min_snr_db", limit=limit, value=min(value_db, LIMIT_DB), met=value_db >= limit))
    return gates


__all__ = ["BATCH", "evaluate", "judge", "validate_engine"]
