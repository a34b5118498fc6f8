"""What a run folder holds, as far as the run came: read into one view that never fails on what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from ...common.bundle import PICTURES, Layer, Manifest, Range
from ...common.errors import UserError
from ...common.files import load_npz, read_json, sha256
from ...common.metric import ACCURACY, metric_in
from ...engines.records import SAMPLES, EngineRecord, ProfileRecord, ValidationRecord
from ..compression import Compression, counted, sizes
from .chain import outdated, planned

_T = TypeVar("_T")
Array = np.ndarray[Any, Any]
_BUNDLE = "bundle/bundle.json"
_OTHER_BUNDLE = (
    "This engine was built from another bundle than the one that lies in this run now. Its figures are those of the "
    "other one."
)
_OLD_BUNDLE = (
    "The bundle of this engine was exported before stages of this run were done again, or differs from what the recipe "
    "asks for now. The engine's figures are not of the stages shown here."
)


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Cost(_Lenient):
    """What the report needs of a `stage.json`: seconds, bytes, versions, the moment it was done, and hashes."""

    stage: str
    key: str = ""
    seconds: float
    peak_memory_bytes: int | None = None
    versions: dict[str, str] = {}
    finished: str = ""
    inputs: dict[str, Any] = {}
    outputs: dict[str, str] = {}


class Summary(_Lenient):
    """What the report needs of `summary.json`: the optional engines that were skipped, each with the reason."""

    skipped: dict[str, str] = {}


class _Measured(_Lenient):
    """What was measured on the validation set.

    Attributes:
        metric: the name that the file has it under.
        value: the task's metric.
        loss: the loss, where there is one.
        one_shot: the metric right after pruning, before any retraining (`sparse` only).
    """

    metric: str | None = None
    value: float | None = None
    loss: float | None = None
    one_shot: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_its_name(cls, content: Any) -> Any:
        name = metric_in(content) if isinstance(content, dict) else None
        if name is None:
            return content
        return {**content, "metric": name, "value": content[name], "one_shot": content.get(f"one_shot_{name}")}


class Epoch(_Measured):
    """One pass over the training set; the losses and the metric after it."""

    epoch: float
    train_loss: float | None = None
    lr: float | None = None


class Metrics(_Measured):
    """A `metrics.json`: the network on the whole validation set, at the end and after each epoch."""

    history: list[Epoch] = []


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        cost: None where it was begun and not finished.
        stale: it was made from what the stages before it no longer hold.
    """

    name: str
    folder: str
    cost: Cost | None
    metrics: Metrics | None = None
    stale: bool = False


@dataclass(frozen=True)
class Engine:
    """One engine folder, and what was measured on it so far.

    Attributes:
        stale: why its figures don't belong to the rest of the run; empty where they do.
        pictures: what it answered to the samples of the bundle's pictures; None where it makes none.
    """

    folder: str
    record: EngineRecord
    profile: ProfileRecord | None = None
    validation: ValidationRecord | None = None
    stale: str = ""
    pictures: Array | None = None


@dataclass
class Run:
    """A run folder.

    Attributes:
        name: the recipe's name, or the folder's.
        recipe: the recipe's content; empty where it is missing.
        recipe_text: the recipe as written.
        stages: those of the recipe that were begun, in the order of the pipeline.
        layers: the weighted layers and the decision on each; empty before pruning.
        ranges: of the network that was exported, or of the last calibrated one.
        absent: backends of the recipe that have no engine here, and why.
        compression: what it saves, on paper and in files; None where nothing is quantized yet.
        pictures: of a network that makes some, a few by what they are (`input`, `targets`, `dense`, `pytorch`).
        problems: files that are there and could not be read.
    """

    name: str
    recipe: dict[str, Any] = field(default_factory=dict)
    recipe_text: str = ""
    stages: list[Stage] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    manifest: Manifest | None = None
    engines: list[Engine] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    compression: Compression | None = None
    pictures: dict[str, Array] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """The task's metric, by name."""
        named = (stage.metrics.metric for stage in self.stages if stage.metrics and stage.metrics.metric)
        return self.manifest.metric if self.manifest else next(named, ACCURACY)

    def metrics(self, stage: str) -> Metrics | None:
        """The metrics of a stage by name, or None."""
        return next((item.metrics for item in self.stages if item.name == stage), None)


class _Reader:
    """Reads the files of one folder and remembers what could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []

    def read(self, name: str, kind: type[_T] | Any) -> _T | None:
        """The file as `kind`, or None where it is missing or damaged."""
        if not (self.folder / name).is_file():
            return None
        try:
            found: _T = TypeAdapter(kind).validate_python(read_json(self.folder / name))
        except (UserError, ValidationError, OSError) as error:
            self.problems.append(f"{name} could not be read: {_reason(error)}")
            return None
        return found

    def arrays(self, name: str, digest: str | None = None) -> dict[str, Array]:
        """The arrays of a file by name; none where it is missing, damaged, or another than the one of that hash."""
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            if digest is not None and sha256(path) != digest:
                raise UserError("It is not the file that the bundle lists.")
            return load_npz(path)
        except (UserError, OSError) as error:
            self.problems.append(f"{name} could not be read: {_reason(error)}")
            return {}


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
    return (error.what if isinstance(error, UserError) else str(error)).rstrip(".")


def collect(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        UserError: there is no such folder, or it is not a run folder (it has no recipe and no stage).
    """
    reader = _Reader(folder)
    text, recipe = _recipe(reader)
    plan = planned(recipe)
    run = Run(str(recipe.get("name") or folder.resolve().name), recipe, text, _stages(reader, plan))
    if not text and not run.stages:
        raise UserError(
            "This folder holds no run (no recipe.yaml and no stage).",
            where=str(folder),
            fix="Name a run folder.",
        )
    run.manifest = reader.read(_BUNDLE, Manifest)
    run.engines = _engines(reader, any(stage.name == "export" and stage.stale for stage in run.stages))
    run.layers = (run.manifest.layers if run.manifest else None) or _first(reader, plan, "layers.json", list[Layer])
    run.ranges = (run.manifest.ranges if run.manifest else None) or _first(reader, plan, "ranges.json", list[Range])
    run.pictures = _pictures(reader, run)
    run.absent = _absent(reader, recipe, run.engines)
    run.compression = _compression(folder, run)
    run.problems = reader.problems
    return run


def _pictures(reader: _Reader, run: Run) -> dict[str, Array]:
    digest = run.manifest.files.get(PICTURES) if run.manifest else None
    return reader.arrays(f"bundle/{PICTURES}", digest) if digest else {}


def _compression(folder: Path, run: Run) -> Compression | None:
    records = {engine.folder: engine.record for engine in run.engines}
    engines = {f"{path}/{record.engine}": record.sizes.get(record.engine, 0) for path, record in records.items()}
    return counted(run.layers, run.ranges, sizes(folder, engines))


def _recipe(reader: _Reader) -> tuple[str, dict[str, Any]]:
    path = reader.folder / "recipe.yaml"
    if not path.is_file():
        return "", {}
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reader.problems.append(f"recipe.yaml could not be read: {error}")
        return "", {}
    return text, content if isinstance(content, dict) else {}


def _stages(reader: _Reader, plan: tuple[str, ...]) -> list[Stage]:
    folders = list(plan)
    for engine in _engine_folders(reader.folder):
        folders += [engine, f"{engine}/profile", f"{engine}/validate"]
    found = [_stage(reader, folder, folder in plan) for folder in folders if (reader.folder / folder).is_dir()]
    stale = outdated({stage.folder: stage.cost for stage in found if stage.cost}, plan)
    return [replace(stage, stale=stage.folder in stale) for stage in found]


def _stage(reader: _Reader, folder: str, has_metrics: bool) -> Stage:
    cost: Cost | None = reader.read(f"{folder}/stage.json", Cost)
    path = f"{folder}/metrics.json"
    metrics: Metrics | None = reader.read(path, Metrics) if has_metrics else None
    if cost and metrics and path in cost.outputs and cost.outputs[path] != sha256(reader.folder / path):
        cost = None  # it is being done again, and its record is that of the time before
    return Stage(cost.stage if cost else folder, folder, cost, metrics)


def _engine_folders(run: Path) -> list[str]:
    return sorted(f"engines/{path.parent.name}" for path in (run / "engines").glob("*/engine.json"))


def _engines(reader: _Reader, old_bundle: bool) -> list[Engine]:
    found = []
    for folder in _engine_folders(reader.folder):
        record: EngineRecord | None = reader.read(f"{folder}/engine.json", EngineRecord)
        if record is not None:
            profile = reader.read(f"{folder}/profile/profile.json", ProfileRecord)
            validation = reader.read(f"{folder}/validate/validation.json", ValidationRecord)
            stale = _other_bundle(reader.folder, record) or (_OLD_BUNDLE if old_bundle else "")
            pictures = reader.arrays(f"{folder}/validate/{SAMPLES}").get("pictures") if validation else None
            found.append(Engine(folder, record, profile, validation, stale, pictures))
    return found


def _other_bundle(run: Path, record: EngineRecord) -> str:
    manifest = run / _BUNDLE
    return _OTHER_BUNDLE if manifest.is_file() and sha256(manifest) != record.bundle_digest else ""


def _first(reader: _Reader, plan: tuple[str, ...], name: str, kind: Any) -> list[Any]:
    """The file from the last stage of the recipe that has it."""
    for folder in reversed(plan):
        content: list[Any] | None = reader.read(f"{folder}/{name}", kind)
        if content:
            return content
    return []


def _absent(reader: _Reader, recipe: dict[str, Any], engines: list[Engine]) -> dict[str, str]:
    summary = reader.read("summary.json", Summary) or Summary()
    built = {engine.record.backend for engine in engines}
    listed = recipe.get("engines")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    stopped = "The run stopped before it was built."
    missing = [str(entry["backend"]) for entry in entries if "backend" in entry and entry["backend"] not in built]
    return {name: summary.skipped.get(name, stopped) for name in missing if engines or name in summary.skipped}


__all__ = ["Array", "Cost", "Engine", "Epoch", "Metrics", "Run", "Stage", "collect"]
