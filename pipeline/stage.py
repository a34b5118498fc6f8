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
from ..common.measure import measured
from ..common.schema import Document

RECORD = "stage.json"


class StageRecord(Document):
    """`stage.json`.

    Attributes:
        key: hash of `inputs`; the stage is done again when it differs.
        inputs: settings and the hashes of the files that the stage read.
        outputs: what it made: path within the run folder to SHA-256.
        seconds: wall-clock time of the process that finished it.
        peak_memory_bytes: largest resident set during it.
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
    """

    name: str
    folder: str
    inputs: dict[str, Any]
    work: Callable[[Path, str], dict[str, float]]
    outputs: Callable[[Path], list[str]]

    @property
    def key(self) -> str:
        """Hash of the inputs."""
        return digest(self.inputs)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, the same for the same value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def perform(stage: Stage, run: Path) -> StageRecord:
    """Do the stage, or skip it if its record and its files are as it would leave them.

    Raises:
        UserError: a file that the stage had made was changed or lost since.
    """
    record = read(run, stage.folder)
    if record is not None and record.key == stage.key:
        files.verify(run, record.outputs, f"Delete {run / stage.folder} to have the stage {stage.name!r} done again.")
        say(f"{stage.name}: unchanged, kept")
        return record
    (run / stage.folder / RECORD).unlink(missing_ok=True)
    with measured() as cost:
        metrics = stage.work(run, stage.key)
    record = StageRecord(
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
    files.write_json(run / stage.folder / RECORD, record.model_dump(mode="json"))
    return record


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


__all__ = ["RECORD", "Stage", "StageRecord", "digest", "perform", "read"]
