"""`summary.json`: the figures that people ask for, and the table that the command ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..common import files
from ..engines.records import ENGINE, PROFILE, VALIDATION, Gate, ProfileRecord, ValidationRecord, read_engine
from ..engines.share import two_four_share
from .compression import compression
from .run import Outcome

SUMMARY = "summary.json"
_SAMPLES: Any = {"samples_ms": True, "gpu": {"samples"}}


def summarize(outcome: Outcome) -> dict[str, Any]:
    """Collect the figures of a run; only what was measured is in it."""
    folder = outcome.folder
    engines = [path.parent for path in sorted((folder / "engines").glob(f"*/{ENGINE}"))]
    built = [engine for engine in engines if f"build {_backend(engine)}" in outcome.done]
    return {
        "run": folder.name,
        "note": outcome.note,
        "stages": {name: _stage(record) for name, record in outcome.done.items()},
        "compression": _compression(folder, built),
        "engines": {path.name: _engine(path) for path in built},
        "skipped": outcome.skipped,
    }


def _compression(folder: Path, built: list[Path]) -> dict[str, Any] | None:
    records = {path.name: read_engine(path) for path in built}
    sizes = {f"engines/{name}/{record.engine}": record.sizes[record.engine] for name, record in records.items()}
    found = compression(folder, sizes)
    return found.model_dump() if found else None


def _backend(folder: Path) -> str:
    return folder.name.rsplit("-", 1)[0]


def _stage(record: Any) -> dict[str, Any]:
    return {"seconds": record.seconds, "peak_memory_bytes": record.peak_memory_bytes, "metrics": record.metrics}


def _engine(folder: Path) -> dict[str, Any]:
    record = read_engine(folder)
    return {
        "bytes": record.sizes[record.engine],
        "fp32_bytes": record.sizes[record.baseline] if record.baseline is not None else None,
        "two_four_share": two_four_share(record.layers),
        "layers": len(record.layers),
        "two_four_layers": sum(layer.two_four for layer in record.layers),
        "ran_sparse_layers": sum(layer.ran_sparse == "yes" for layer in record.layers),
        **_profile(folder / "profile" / PROFILE),
        **_validation(folder / "validate" / VALIDATION),
    }


def _profile(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    record = ProfileRecord.model_validate(files.read_json(path))
    return {
        "latency": [latency.model_dump(exclude=_SAMPLES) for latency in record.latencies],
        "speedup": [ratio.model_dump() for ratio in record.ratios],
        "profile_gates": [gate.model_dump() for gate in record.gates],
        "profile_warnings": record.warnings,
    }


def _validation(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    record = ValidationRecord.model_validate(files.read_json(path))
    kept = record.model_dump(exclude={"schema_version", "backend", "options", "layers", "gates"})
    return {"validation": kept, "validation_gates": [gate.model_dump() for gate in record.gates]}


def missed(summary: dict[str, Any]) -> list[str]:
    """Every gate that was not met, in words."""
    lines = []
    for engine, figures in summary["engines"].items():
        for item in figures.get("profile_gates", []) + figures.get("validation_gates", []):
            gate = Gate.model_validate(item)
            if not gate.met:
                lines.append(f"{engine}: {gate.name} is {gate.value:.4g}, the limit is {gate.limit:.4g}")
    return lines


__all__ = ["SUMMARY", "missed", "summarize"]
