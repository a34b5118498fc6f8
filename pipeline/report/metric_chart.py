"""The task's metric, stage by stage, from the dense model to the engine."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from ...common.metric import lower_is_better
from .charts import axis_of, engine_title, title
from .collect import Run
from .rows import Mark, Row, Rule, chart
from .scale import Scale
from .words import change, count, metric_name, metric_value, plain, sentence

_PRUNED = "2:4, before retraining"  # often so bad that it would squeeze the rest into one dot


@dataclass(frozen=True)
class _Step:
    name: str
    value: float
    detail: str | None = None
    stale: bool = False
    whole: float | None = None  # the dense model on the same samples, where those are not the stages'


def measured(run: Run) -> Markup | None:
    """The task metric from the dense model, or the given file, to the engine; the axis need not begin at zero."""
    metric, steps = run.metric, _steps(run)
    if not steps:
        return None
    first, whole = _start(run)
    dense = next((step.value for step in steps if step.name == first), None)
    drop = max((e.validation.options.max_drop or 0 for e in run.engines if e.validation), default=0)
    worst = None if dense is None else _lowered(metric, dense, drop)
    kept = [step.value for step in steps if step.name != _PRUNED]
    scale = axis_of(metric)([*kept, *([] if dense is None else [_lowered(metric, dense, max(drop, 0.01))])])
    rules = [] if dense is None else [Rule(dense, whole, "accent")]
    same = all(step.whole in (None, dense) for step in steps)  # a distance depends on the number of samples
    if dense is not None and worst is not None and drop and (same or not lower_is_better(metric)):
        low, high = sorted((dense, worst))
        rules.append(Rule(low, f"allowed by the recipe ({_allowed(metric, drop)})", "quiet", high))
    rows = [_row(metric, step, first, dense, scale) for step in steps]
    entries = [("point fp32", "FP32"), ("point int8", "INT8")]
    note = "On the validation set; an engine on the samples of its bundle."
    note = note if first == "Dense" else "On the samples of the bundle."
    note += " Less is better." if lower_is_better(metric) else " The axis does not begin at zero."
    heading = f"{sentence(metric_name(metric))}, stage by stage"
    return chart(heading, rows, scale, note=note, rules=rules, entries=entries)


def _lowered(metric: str, whole: float, drop: float) -> float:
    return whole * (1 + drop) if lower_is_better(metric) else whole - drop


def _allowed(metric: str, drop: float) -> str:
    if lower_is_better(metric):
        return f"a rise of {plain(100 * drop)} %"
    if metric == "ssim":
        return plain(drop)
    return f"{100 * drop:g} point" + ("" if drop == 0.01 else "s")


def _start(run: Run) -> tuple[str, str]:
    """The first row, and what the others are compared with: the dense model, or the file that came quantized."""
    source = run.manifest.source if run.manifest else None
    return ("Dense", "the dense model") if source is None else (f"INT8, {source.file}", source.file)


def _steps(run: Run) -> list[_Step]:
    steps = []
    if run.manifest and run.manifest.source:
        steps.append(_Step(_start(run)[0], run.manifest.eval_metric, "as it was given"))
    for stage in run.stages:
        found = stage.metrics
        if found is not None and stage.name == "sparse" and found.one_shot is not None:
            steps.append(_Step(_PRUNED, found.one_shot, stale=stage.stale))
        if found is not None and found.value is not None:
            steps.append(_Step(title(stage), found.value, stale=stage.stale))
    for engine in run.engines:
        if engine.validation is not None:
            detail = f"on {count(engine.validation.samples, 'sample')}"
            steps.append(_Step(f"Engine, {engine_title(engine)}", engine.validation.value, detail, bool(engine.stale),
                               engine.validation.dense_value))
    return steps


def _row(metric: str, step: _Step, first: str, dense: float | None, scale: Scale) -> Row:
    dense = dense if step.whole is None else step.whole
    off = "left" if step.value < scale.low else "right" if step.value > scale.high else None
    said = None if dense is None or step.name == first else change(metric, dense, step.value)
    said = "outdated: not of this dense model" if step.stale else said
    said = f"off the axis, to the {off}" if off else said
    tone = "int8" if step.name.startswith(("INT8", "Engine")) else "fp32"
    detail = ", ".join(part for part in (said, step.detail) if part) or None
    mark = Mark("ring" if off else "dot", tone, step.value)
    return Row(step.name, metric_value(metric, step.value), [mark], detail=detail)


__all__ = ["measured"]
