"""The charts about the stages: accuracy, time, training curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from markupsafe import Markup

from .collect import Engine, Epoch, Run, Stage
from .plot import Series, lines
from .rows import Mark, Row, Rule, chart, figure, legend
from .scale import Scale, linear
from .words import SPACE, count, duration, metric_name, number, percent, plain, points, size

_TITLES = {
    "dense": "Dense",
    "sparse": "2:4, retrained",
    "calibrate": "INT8, calibrated",
    "qat": "INT8, fine-tuned (QAT)",
    "export": "Export",
}
_PRUNED = "2:4, before retraining"  # often so low that it would squeeze the rest into one dot
_BACKENDS = {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT"}


def _tick(share: float) -> str:
    return f"{100 * share:g}{SPACE}%"


def _points(drop: float) -> str:
    return f"{100 * drop:g} point" + ("" if drop == 0.01 else "s")


def title(stage: Stage) -> str:
    """A stage's name as the report writes it."""
    return _TITLES.get(stage.name, stage.name.capitalize())


def engine_title(engine: Engine) -> str:
    """An engine as people call it: `ONNX Runtime on CPU`."""
    backend, device = engine.record.backend, engine.record.device
    return f"{_BACKENDS.get(backend, backend)} on {'CPU' if device == 'cpu' else device}"


def accuracy(run: Run) -> Markup | None:
    """The task metric from the dense model, or the given file, to the engine; the axis need not begin at zero."""
    steps = _accuracy_steps(run)
    if not steps:
        return None
    first, whole = _start(run)
    dense = next((value for name, value, *_ in steps if name == first), None)
    drop = max((e.validation.options.max_drop or 0 for e in run.engines if e.validation), default=0)
    kept = [value for name, value, *_ in steps if name != _PRUNED]
    scale = linear([*kept, *([dense - max(drop, 0.01)] if dense is not None else [])], _tick, most=1.0)
    rules = [] if dense is None else [Rule(dense, whole, "accent")]
    if dense is not None and drop:
        rules.append(Rule(dense - drop, f"allowed by the recipe ({_points(drop)})", "quiet", dense))
    rows = [_accuracy_row(*step, first, dense, scale) for step in steps]
    entries = [("point fp32", "FP32"), ("point int8", "INT8")]
    note = "On the validation set; an engine on the samples of its bundle."
    note = f"{note if first == 'Dense' else 'On the samples of the bundle.'} The axis does not begin at zero."
    metric = metric_name(run.manifest.metric) if run.manifest else "accuracy"
    title = f"{metric.capitalize()}, stage by stage"
    return chart(title, rows, scale, note=note, rules=rules, entries=entries)


def _start(run: Run) -> tuple[str, str]:
    """The first row, and what the others are compared with: the dense model, or the file that came quantized."""
    source = run.manifest.source if run.manifest else None
    return ("Dense", "the dense model") if source is None else (f"INT8, {source.file}", source.file)


def _accuracy_steps(run: Run) -> list[tuple[str, float, str | None, bool]]:
    steps: list[tuple[str, float | None, str | None, bool]] = []
    if run.manifest and run.manifest.source:
        steps.append((_start(run)[0], run.manifest.eval_metric, "as it was given", False))
    for stage in run.stages:
        if stage.name == "sparse":
            steps.append((_PRUNED, stage.metrics.one_shot_accuracy if stage.metrics else None, None, stage.stale))
        if stage.metrics is not None:
            steps.append((title(stage), stage.metrics.accuracy, None, stage.stale))
    for engine in run.engines:
        if engine.validation is not None:
            detail = f"on {count(engine.validation.samples, 'sample')}"
            steps.append((f"Engine, {engine_title(engine)}", engine.validation.value, detail, bool(engine.stale)))
    return [(name, value, detail, stale) for name, value, detail, stale in steps if value is not None]


def _accuracy_row(
    name: str, value: float, detail: str | None, stale: bool, first: str, dense: float | None, scale: Scale
) -> Row:
    beyond = value < scale.low
    change = None if dense is None or name == first else points(value - dense)
    change = "outdated: not of this dense model" if stale else change
    change = "off the axis, to the left" if beyond else change
    tone = "int8" if name.startswith(("INT8", "Engine")) else "fp32"
    detail = ", ".join(part for part in (change, detail) if part) or None
    return Row(name, percent(value), [Mark("ring" if beyond else "dot", tone, value)], detail=detail)


def time_spent(run: Run) -> Markup | None:
    """Wall-clock time of every stage."""
    done = [(stage, stage.cost) for stage in run.stages if stage.cost is not None]
    if not done:
        return None
    scale = linear([cost.seconds for _, cost in done], plain, zero=True)
    rows = [
        Row(
            title(stage),
            duration(cost.seconds),
            [Mark("bar", "accent", 0, cost.seconds)],
            detail=f"peak memory {size(cost.peak_memory_bytes)}" if cost.peak_memory_bytes else None,
        )
        for stage, cost in done
    ]
    total = duration(sum(cost.seconds for _, cost in done))
    return chart("Time, stage by stage", rows, scale, note=f"{total} in all.", unit="s")


def curves(run: Run) -> list[Markup]:
    """For each training stage that recorded its epochs: accuracy, and the losses."""
    found = []
    for stage in run.stages:
        history = [epoch for epoch in stage.metrics.history if epoch.epoch > 0] if stage.metrics else []
        found += [_accuracy_curve(stage, history), _loss_curve(stage, history)] if history else []
    return [item for item in found if item is not None]


def _accuracy_curve(stage: Stage, history: Sequence[Epoch]) -> Markup | None:
    series = [Series("validation", "accent", _over(history, lambda epoch: epoch.accuracy))]
    return _curve(f"{title(stage)}: accuracy by epoch", series, partial(linear, text=_tick, most=1.0))


def _loss_curve(stage: Stage, history: Sequence[Epoch]) -> Markup | None:
    series = [
        Series("training", "quiet", _over(history, lambda epoch: epoch.train_loss)),
        Series("validation", "accent", _over(history, lambda epoch: epoch.loss)),
    ]
    return _curve(f"{title(stage)}: loss by epoch", series, partial(linear, zero=True))


def _over(history: Sequence[Epoch], pick: Callable[[Epoch], float | None]) -> list[tuple[float, float]]:
    return [(epoch.epoch, value) for epoch in history if (value := pick(epoch)) is not None]


def _curve(name: str, series: Sequence[Series], axis: Callable[[list[float]], Scale]) -> Markup | None:
    series = [item for item in series if item.points]
    values = [y for item in series for _, y in item.points]
    if not values:
        return None
    epochs = sorted({x for item in series for x, _ in item.points})
    said = ". ".join(f"{item.name}: {number(item.points[0][1])} to {number(item.points[-1][1])}" for item in series)
    drawing = lines(name, said, series, _epochs(epochs), axis(values))
    return figure(name, legend([(f"line {item.tone}", item.name) for item in series]), drawing, kind="small")


def _epochs(epochs: Sequence[float]) -> Scale:
    first, last = epochs[0], epochs[-1]
    stride = max(1, -(-len(epochs) // 6))
    ticks = tuple(epochs[::-1][::stride][::-1])
    return Scale(first, last if last > first else first + 1, ticks, lambda tick: f"{tick:g}")


__all__ = ["accuracy", "curves", "engine_title", "time_spent", "title"]
