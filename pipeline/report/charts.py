"""The charts about the stages: time, training curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from markupsafe import Markup

from ...common.metric import ACCURACY, DISTANCE
from .collect import Engine, Epoch, Run, Stage
from .plot import Series, lines
from .rows import Mark, Row, chart, figure, legend
from .scale import Scale, linear
from .words import MINUS, SPACE, duration, metric_name, number, plain, size

_TITLES = {
    "dense": "Dense",
    "sparse": "2:4, retrained",
    "calibrate": "INT8, calibrated",
    "qat": "INT8, fine-tuned (QAT)",
    "export": "Export",
}
_BACKENDS = {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT"}


def title(stage: Stage) -> str:
    """A stage's name as the report writes it."""
    return _TITLES.get(stage.name, stage.name.capitalize())


def engine_title(engine: Engine) -> str:
    """An engine as people call it: `ONNX Runtime on CPU`."""
    backend, device = engine.record.backend, engine.record.device
    return f"{_BACKENDS.get(backend, backend)} on {'CPU' if device == 'cpu' else device}"


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
    """For each training stage that recorded its epochs: the metric, and the losses."""
    found = []
    for stage in run.stages:
        history = [epoch for epoch in stage.metrics.history if epoch.epoch > 0] if stage.metrics else []
        found += [_metric_curve(stage, history), _loss_curve(stage, history)] if history else []
    return [item for item in found if item is not None]


def _metric_curve(stage: Stage, history: Sequence[Epoch]) -> Markup | None:
    metric = next((epoch.metric for epoch in history if epoch.metric), ACCURACY)
    series = [Series("validation", "accent", _over(history, lambda epoch: epoch.value))]
    return _curve(f"{title(stage)}: {metric_name(metric)} by epoch", series, axis_of(metric))


def axis_of(metric: str) -> Callable[[list[float]], Scale]:
    """What makes the axis of a metric: in per cent, as it is, or from zero on."""
    if metric == DISTANCE:
        return partial(linear, zero=True)
    return partial(linear, text=_plain_tick if metric == "ssim" else _tick, most=1.0)


def _plain_tick(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)


def _tick(share: float) -> str:
    return f"{100 * share:g}{SPACE}%"


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


__all__ = ["axis_of", "curves", "engine_title", "time_spent", "title"]
