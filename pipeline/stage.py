"""One stage of a run: skipped when nothing that it depends on changed, recorded when it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..common import files
from ..common.console import say
from ..common.errors import UserError
from ..common.machine import versions
from ..common.measure import Cost, measured
from ..common.schema import Document

RECORD = "stage.json"
_REDOING = "redoing"  # lies in the folder while a stage is done again: its old files may be half replaced


class StageRecord(Document):
    """`stage.json`.

    Attributes:
        key: hash of `inputs`; the stage is done again when it differs.
        inputs: settings and the hashes of the files that the stage read.
        outputs: what it made: path within the run folder to SHA-256.
        seconds: wall-clock time of the process that finished it; what a killed one spent is not in it.
        peak_memory_bytes: largest resident set of the process during it, with the packages that are loaded.
        finished: time in UTC, ISO 8601.
    """

    stage: str
    key: str
    inputs: dict[str, Any]
    outputs: dict[str, str]
    seconds: float
    peak_memory_bytes: int
    versions: dict[str, str]
    metrics: dict[str, float]
    finished: str


@dataclass(frozen=True)
class Stage:
    """What to do and what it depends on.

    Attributes:
        name: as people call it (`dense`, `calibrate`, `profile onnxruntime`).
        folder: where its record lies, within the run folder.
        inputs: everything that decides its result, as JSON.
        work: does it in the given run folder, told its key; returns its metrics.
        outputs: the files it leaves, within the run folder, once the work is done.
        tidy: removes what helped to resume it, once it is on record.
    """

    name: str
    folder: str
    inputs: dict[str, Any]
    work: Callable[[Path, str], dict[str, float]]
    outputs: Callable[[Path], list[str]]
    tidy: Callable[[Path], None] = lambda _run: None

    @property
    def key(self) -> str:
        """Hash of the inputs."""
        return digest(self.inputs)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, the same for the same value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def perform(stage: Stage, run: Path) -> tuple[StageRecord, bool]:
    """Do the stage, or skip it if its record and its files are as it would leave them.

    Work that fails before it replaces anything leaves the old record in force.

    Returns:
        The record, and whether the work was done now.

    Raises:
        UserError: a file that the stage had made was changed or lost since.
    """
    record, redoing = read(run, stage.folder), run / stage.folder / _REDOING
    if record is not None and record.key == stage.key and _kept(record, stage, run, redoing):
        say(f"{stage.name}: unchanged, kept")
        stage.tidy(run)
        return record, False
    files.write_text(redoing, stage.key)
    with measured() as cost:
        metrics = stage.work(run, stage.key)
    record = _record(stage, run, cost, metrics)
    files.write_json(run / stage.folder / RECORD, record.model_dump(mode="json"))
    redoing.unlink(missing_ok=True)
    stage.tidy(run)
    return record, True


def _kept(record: StageRecord, stage: Stage, run: Path, redoing: Path) -> bool:
    if redoing.is_file() and not intact(record, run):
        return False
    files.verify(run, record.outputs, f"Delete {run / stage.folder} to have the stage {stage.name!r} done again.")
    redoing.unlink(missing_ok=True)
    return True


def intact(record: StageRecord, run: Path) -> bool:
    """Whether every file on record is there, unchanged."""
    try:
        files.verify(run, record.outputs, "")
    except UserError:
        return False
    return True


def _record(stage: Stage, run: Path, cost: Cost, metrics: dict[str, float]) -> StageRecord:
    return StageRecord(
        stage=stage.name,
        key=stage.key,
        inputs=stage.inputs,
        outputs=files.hashes(run, stage.outputs(run)),
        seconds=round(cost.seconds, 3),
        peak_memory_bytes=cost.peak_memory_bytes,
        versions=versions(),
        metrics=metrics,
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def read(run: Path, folder: str) -> StageRecord | None:
    """The record of a finished stage, or None.

    Raises:
        UserError: the record is damaged.
    """
    path = run / folder / RECORD
    if not path.is_file():
        return None
    try:
        return StageRecord.model_validate(files.read_json(path))
    except ValidationError as error:
        raise UserError(
            "This record is damaged.", where=str(path), fix=f"Delete {path.parent} to have the stage done again."
        ) from error


__all__ = ["RECORD", "Stage", "StageRecord", "digest", "intact", "perform", "read"]
