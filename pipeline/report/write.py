"""Writes `report.html`: one file that asks for nothing else, and in which no name of a layer can become code."""

from __future__ import annotations

import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ...common.files import write_text
from ...engines.options import arguments
from . import charts, engine_charts, metric_chart, pictures, speed, verdict, weight_charts, words
from .chain import measured_only, planned
from .collect import Engine, Run, collect
from .layers import layer_views

REPORT = "report.html"


def write_report(run: Path) -> Path:
    """Write `RUN/report.html` from whatever the run folder holds, whole or not at all.

    Raises:
        UserError: the folder holds no run, or can't be written.
    """
    write_text(run / REPORT, render(collect(run)))
    return run / REPORT


def render(run: Run) -> str:
    """The report of a run as one HTML document."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            headline=verdict.headline(run),
            layers=layer_views(run),
            activations=_quantizers(run, weights=False),
            weight_ranges=_quantizers(run, weights=True),
            versions=_versions(run),
            machine=_machine(run),
            commands=commands(run),
            finished=max((s.cost.finished for s in run.stages if s.cost), default=""),
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("twofour.pipeline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        charts=charts, engine_charts=engine_charts, metric_chart=metric_chart, pictures=pictures, speed=speed,
        verdict=verdict, weight_charts=weight_charts, metric_value=words.metric_value,
    )
    environment.filters.update({name: getattr(words, name) for name in words.__all__ if name.islower()})
    return environment


def _quantizers(run: Run, *, weights: bool) -> list[Any]:
    return [item for item in run.ranges if item.tensor.endswith("weight_quantizer") is weights]


def _versions(run: Run) -> dict[str, list[str]]:
    """Every package that took part, with each version that did, oldest stage first."""
    found: dict[str, list[str]] = {}
    for stage in run.stages:
        for package, version in (stage.cost.versions if stage.cost else {}).items():
            if version not in found.setdefault(package, []):
                found[package].append(version)
    return found


def _machine(run: Run) -> dict[str, Any]:
    """The machines that timed the engines, or built them; where they differ, that of the first."""
    found: dict[str, Any] = {}
    for engine in run.engines:
        found = (engine.profile.machine if engine.profile else engine.record.machine) | found
    return found


def commands(run: Run) -> list[tuple[str, str]]:
    """What makes this run again, typed in the run's folder: (what it does, command)."""
    again = [("Everything, in a folder beside this one", _line("run recipe.yaml --out", f"../{run.name}-again"))]
    again += [("The training stages, or what is left of them", "twofour train .")] if run.recipe.get("training") else []
    again += [("Calibration", "twofour calibrate .")] if "calibrate" in planned(run.recipe) else []
    again += [] if measured_only(run.recipe) else [("The bundle", "twofour export .")]
    for engine in run.engines:
        again += _engine_commands(engine)
    return [*again, ("This report", "twofour report .")]


def _engine_commands(engine: Engine) -> list[tuple[str, str]]:
    record = engine.record
    name = charts.engine_title(engine)
    build = f"build bundle --backend {shlex.join([record.backend, *arguments(record.options)])} --out"
    return [
        (f"The engine, {name}", _line(build, engine.folder)),
        ("Its times", _line("profile", engine.folder) + _timing(engine)),
        ("Its answers", _line("validate", engine.folder) + _asked(engine)),
    ]


def _timing(engine: Engine) -> str:
    if engine.profile is None:
        return ""
    options = engine.profile.options
    gpu = options.gpu.model_dump(exclude_defaults=True)
    words = [word for name, value in gpu.items() for word in _option(name.replace("_", "-"), value)]
    words = [f"--batch {batch}" for batch in options.batch] + [f"--seconds {options.seconds:g}", *words]
    return " " + " ".join(words)


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name[:-1]} {one}" for one in value] if isinstance(value, list) else [f"--{name} {value}"]


def _asked(engine: Engine) -> str:
    """The gates as options of `twofour validate`."""
    if engine.validation is None:
        return ""
    options = engine.validation.options
    gates = {"max-drop": options.max_drop, "min-agreement": options.min_agreement, "min-snr-db": options.min_snr_db}
    given = "".join(f" --{name} {value!r}" for name, value in gates.items() if value is not None)
    return (" --no-gates" if options.max_drop is None or options.min_agreement is None else "") + given


def _line(command: str, path: str) -> str:
    return f"twofour {command} {shlex.quote(path)}"


__all__ = ["REPORT", "commands", "render", "write_report"]
