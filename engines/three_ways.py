"""Whose difference is it? The reference, ONNX Runtime on the same graphs, and the engine, each beside the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..common import bundle as bundles
from ..common.agreement import LIMIT_DB, agreement, in_words
from ..common.bundle import Agreement, Bundle
from ..common.errors import MissingError, UserError
from .answers import Sizes, answers, full_rows
from .backend import Arrays, Runner
from .config import ValidateConfig
from .literal import LiteralRunner
from .records import PYTORCH, BatchAgreement, EngineRecord, RuntimeAgreement

Array = np.ndarray[Any, Any]
Steps = Callable[[int], None]
Compare = Callable[[Arrays, Arrays], Agreement]
TYPED = "typed.onnx"
_ORT = "ONNX Runtime"
_NAMES = {"tensorrt": "TensorRT", "onnxruntime": _ORT}
_GRAPH_BATCH = 16  # samples per inference of the graphs, which run slowly and keep every tensor
_USUAL_AGREEMENT = 0.995
_ROUNDINGS_DB = 10.0  # which roundings flip is chance: ten times the power of the noise is still noise
_ENOUGH_DB = 60.0  # answers this alike are the same, however exact the engine is otherwise


def graphs_of(folder: Path, record: EngineRecord, source: Bundle) -> dict[str, Path]:
    """The ONNX files that the engine's network exists as: the bundle's, and the one whose types were settled for it."""
    typed = {TYPED: folder / TYPED} if TYPED in record.files else {}
    return {bundles.MODEL: source.folder / bundles.MODEL} | typed if typed else {}


def beside_graphs(
    engine: str, graphs: dict[str, Path], inputs: Arrays, expected: Arrays, found: Arrays, on_step: Steps,
    reference: str = PYTORCH, compare: Compare = agreement,
) -> list[RuntimeAgreement]:
    """Each graph on ONNX Runtime beside the reference, and the engine beside the reference and beside the last graph.

    Args:
        engine: the engine's backend, such as `tensorrt`.
        graphs: by the name to show.
        inputs: samples by input name.
        expected: the reference's outputs.
        found: the engine's.
        on_step: told the samples of each batch of each graph.
        reference: its name. Defaults to PyTorch.
        compare: how alike two answers are. Defaults to class scores.
    """
    rows, last, own = [], None, _NAMES.get(engine, engine)
    for name, path in graphs.items():
        title = f"{_ORT}, {name}"
        try:
            answer = _run(path, inputs, on_step)
        except (UserError, MissingError) as error:  # the engine can be judged without
            rows.append(RuntimeAgreement(name=title, against=reference, agreement=None, reason=error.what))
            continue
        rows.append(RuntimeAgreement(name=title, against=reference, agreement=compare(expected, answer)))
        last = title, answer
    rows.append(RuntimeAgreement(name=own, against=reference, agreement=compare(expected, found)))
    if last is not None:
        rows.append(RuntimeAgreement(name=own, against=last[0], agreement=compare(last[1], found)))
    return rows


def _run(path: Path, inputs: Arrays, on_step: Steps) -> dict[str, Array]:
    runner = LiteralRunner(path)
    try:
        return answers(runner, inputs, _GRAPH_BATCH, 1, on_step)
    finally:
        runner.close()


def over_batches(
    runner: Runner, sizes: Sizes, inputs: Arrays, expected: Arrays, usual: Arrays, floor: Agreement, on_step: Steps,
    compare: Compare = agreement,
) -> list[BatchAgreement]:
    """The engine at the ends of its range, in batches that are full to the last place.

    Args:
        runner: the engine.
        sizes: the batches that it takes.
        inputs: samples by input name.
        expected: the reference's outputs.
        usual: the engine's own, in batches of the usual size.
        floor: the reference against itself under noise.
        on_step: told the samples of each batch.
        compare: how alike two answers are. Defaults to class scores.

    Raises:
        UserError: the engine refuses a batch.
    """
    found: list[BatchAgreement] = []
    count = len(next(iter(inputs.values())))
    for size in sizes.shown:
        rows = full_rows(count, size)
        answer = answers(runner, _rows(inputs, rows), size, size, on_step)
        wanted, tuned = _rows(expected, rows), _rows(usual, rows)
        same, here = compare(tuned, answer), compare(wanted, answer)
        steady = _steady(same, here, compare(wanted, tuned), floor)
        found.append(BatchAgreement(batch=size, agreement=here, same=same, steady=steady))
    return found


def _rows(values: Arrays, rows: Array) -> dict[str, Array]:
    return {name: value[rows] for name, value in values.items()}


def _steady(same: Agreement, here: Agreement, own: Agreement, floor: Agreement) -> bool:
    """No more than roundings that fell otherwise, as they also do between engine and reference.

    Measured by the better of the two, since else any answer would pass beside one that is wrong.
    """
    return _db(same) >= min(max(_db(own), _db(here)), _db(floor), _ENOUGH_DB) - _ROUNDINGS_DB


def _db(found: Agreement) -> float:
    return LIMIT_DB if found.snr_db is None else found.snr_db


def findings(
    runtimes: list[RuntimeAgreement], batches: list[BatchAgreement], config: ValidateConfig, reference: str = PYTORCH
) -> list[str]:
    """What the comparisons say, in sentences; the first row that parts from the reference is where it begins."""
    found = [
        f"In batches of {row.batch} the engine answers otherwise than in those it was tuned for "
        f"({in_words(row.same)}): a fault that depends on the batch."
        for row in batches if not row.steady
    ]
    beside = [row for row in runtimes if row.against == reference]
    parted = [row.name for row in beside if row.agreement is not None and not _agrees(row.agreement, config)]
    if beside and parted:
        found.append(_origin(parted[0], beside, reference))
    return found


def _agrees(found: Agreement, config: ValidateConfig) -> bool:
    least = _USUAL_AGREEMENT if config.min_agreement is None else config.min_agreement
    return found.score >= least and (config.min_snr_db is None or _db(found) >= config.min_snr_db)


def _origin(first: str, beside: list[RuntimeAgreement], reference: str) -> str:
    *graphs, engine = beside
    if first == f"{_ORT}, {bundles.MODEL}":
        begins = "export" if reference == PYTORCH else "conversion"
        return f"{_ORT} parts from {reference} on the bundle's graph too: the difference begins at the {begins}."
    if first != engine.name:
        return (f"{_ORT} parts from {reference} on {TYPED} but not on the bundle's graph: the difference begins where "
                "types were chosen for what is not quantized. Build with --rest fp32 to see it go.")
    missing = [row.name for row in graphs if row.agreement is None]
    if missing:
        return (f"{engine.name} parts from {reference}; whether the graph does so too is not known, since it can't be "
                "run.")
    return f"{_ORT} agrees with {reference} on the same graph, {engine.name} doesn't: the difference is its own."


__all__ = ["TYPED", "beside_graphs", "findings", "graphs_of", "over_batches"]
