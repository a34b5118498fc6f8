"""The charts about the network: accuracy by stage, time by stage, training curves, 2:4 by layer, ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from markupsafe import Markup

from ...common.bundle import Range
from .collect import Epoch, Metrics, Run, Stage
from .layers import LayerView
from .markup import tag
from .plot import Series, lines
from .rows import Mark, Row, Rule, chart, figure, legend
from .scale import Scale, linear, logarithmic
from .words import DASH, count, duration, number, percent, points, size

TITLES = {
    "dense": "Dense", "sparse": "2:4, retrained", "calibrate": "INT8, calibrated", "qat": "INT8, fine-tuned (QAT)",
    "export": "Export",
}
_short = partial(percent, decimals=1)


def title(stage: Stage) -> str:
    """A stage's name as the report writes it."""
    return TITLES.get(stage.name, stage.name.capitalize())


def one_shot(metrics: Metrics | None) -> float | None:
    """The accuracy right after pruning: recorded as such, or as that of epoch 0."""
    if metrics is None:
        return None
    before = next((epoch.accuracy for epoch in metrics.history if epoch.epoch == 0), None)
    return metrics.one_shot if metrics.one_shot is not None else before


def accuracy(run: Run) -> Markup | None:
    """The task metric from the dense model to the engine, on an axis that need not begin at zero."""
    steps = _accuracy_steps(run)
    if not steps:
        return None
    dense = next((value for name, value, _ in steps if name == "Dense"), None)
    pruned = one_shot(run.metrics("sparse"))
    drop = max((e.validation.options.max_drop or 0 for e in run.engines if e.validation), default=0)
    kept = [value for _, value, _ in steps if value != pruned] or [value for _, value, _ in steps]
    scale = linear([*kept, *([dense - drop] if dense is not None else [])], _short, most=1.0)
    rules = [] if dense is None else [Rule(dense, "the dense model", "accent")]
    if dense is not None and drop:
        rules.append(Rule(dense - drop, f"allowed by the recipe ({100 * drop:g} points)", "quiet", dense))
    rows = [_accuracy_row(*step, dense, scale) for step in steps]
    note = "On the validation set; an engine on the samples of its bundle. The axis does not begin at zero."
    return chart("Accuracy, stage by stage", rows, scale, note=note, rules=rules)


def _accuracy_steps(run: Run) -> list[tuple[str, float, str | None]]:
    steps: list[tuple[str, float | None, str | None]] = []
    for stage in run.stages:
        if stage.name == "sparse":
            steps.append(("2:4, before retraining", one_shot(stage.metrics), None))
        if stage.metrics is not None:
            steps.append((title(stage), stage.metrics.accuracy, None))
    for engine in run.engines:
        if engine.validation is not None:
            name = f"Engine {engine.record.backend}, {engine.record.device}"
            steps.append((name, engine.validation.value, f"on {count(engine.validation.samples, 'sample')}"))
    return [(name, value, detail) for name, value, detail in steps if value is not None]


def _accuracy_row(name: str, value: float, detail: str | None, dense: float | None, scale: Scale) -> Row:
    beyond = value < scale.low
    change = "left of the axis" if beyond else points(value - dense) if dense is not None and name != "Dense" else None
    tone = "int8" if name.startswith(("INT8", "Engine")) else "fp32"
    kind = "ring" if beyond else "dot"
    detail = ", ".join(part for part in (change, detail) if part) or None
    return Row(name, percent(value), [Mark(kind, tone, value)], detail=detail)  # type: ignore[arg-type]


def time_spent(run: Run) -> Markup | None:
    """Wall-clock time of every stage."""
    done = [(stage, stage.cost) for stage in run.stages if stage.cost is not None]
    if not done:
        return None
    scale = linear([cost.seconds for _, cost in done], number, zero=True)
    rows = [
        Row(title(stage), duration(cost.seconds), [Mark("bar", "accent", 0, cost.seconds)],
            detail=f"peak memory {size(cost.peak_memory_bytes)}" if cost.peak_memory_bytes else None)
        for stage, cost in done
    ]
    total = duration(sum(cost.seconds for _, cost in done))
    return chart("Time, stage by stage", rows, scale, note=f"{total} in all, on one machine.", unit="seconds")


def curves(run: Run) -> list[Markup]:
    """For each training stage that recorded its epochs: accuracy, and the losses."""
    found = []
    for stage in run.stages:
        history = [epoch for epoch in stage.metrics.history if epoch.epoch > 0] if stage.metrics else []
        found += [_accuracy_curve(stage, history), _loss_curve(stage, history)] if history else []
    return [item for item in found if item is not None]


def _accuracy_curve(stage: Stage, history: Sequence[Epoch]) -> Markup | None:
    series = [Series("validation", "accent", _over(history, lambda epoch: epoch.accuracy))]
    return _curve(f"{title(stage)}: accuracy", series, partial(linear, text=_short, most=1.0))


def _loss_curve(stage: Stage, history: Sequence[Epoch]) -> Markup | None:
    series = [
        Series("training", "quiet", _over(history, lambda epoch: epoch.train_loss)),
        Series("validation", "accent", _over(history, lambda epoch: epoch.loss)),
    ]
    return _curve(f"{title(stage)}: loss", series, partial(linear, zero=True))


def _over(history: Sequence[Epoch], pick: Callable[[Epoch], float | None]) -> list[tuple[float, float]]:
    return [(epoch.epoch, value) for epoch in history if (value := pick(epoch)) is not None]


def _curve(name: str, series: Sequence[Series], axis: Callable[[list[float]], Scale]) -> Markup | None:
    series = [item for item in series if item.points]
    values = [y for item in series for _, y in item.points]
    if not values:
        return None
    epochs = sorted({x for item in series for x, _ in item.points})
    said = ". ".join(f"{item.name}: {number(item.points[0][1])} to {number(item.points[-1][1])}" for item in series)
    drawing = lines(f"{name} by epoch", said, series, _epochs(epochs), axis(values))
    return figure(name, legend([(f"line {item.tone}", item.name) for item in series]), drawing, kind="small")


def _epochs(epochs: Sequence[float]) -> Scale:
    first, last = epochs[0], epochs[-1]
    stride = max(1, -(-len(epochs) // 5))
    ticks = tuple(epochs[::-1][::stride][::-1])
    return Scale(first, last if last > first else first + 1, ticks, lambda tick: f"{tick:g}")


def two_four(layers: Sequence[LayerView]) -> Markup | None:
    """The share of zero weights of every layer; one half is what 2:4 needs."""
    if not layers:
        return None
    measured = any(layer.measured for layer in layers)
    scale = Scale(0, 1, (0, 0.25, 0.5, 0.75, 1), partial(percent, decimals=0))
    rules = [Rule(0.5, "one half: 2 of every 4", "quiet")]
    note = (
        "Zeros among the integers of the engine; the width of a bar says nothing about speed."
        if measured else "As decided in training; no engine was built that could be looked into."
    )
    entries = [("bar int8", "2:4 weights"), ("bar quiet", "dense weights")]
    return chart("Zeros, layer by layer", [_zeros(layer) for layer in layers], scale, note=note, rules=rules,
                 entries=entries, kind="code")


def _zeros(layer: LayerView) -> Row:
    value = layer.zeros if layer.zeros is not None else 0.5 if layer.two_four else 0.0
    text = f"{_short(value)} zero" if layer.zeros is not None else "2:4" if layer.two_four else "dense"
    return Row(layer.name, text, [Mark("bar", "int8" if layer.two_four else "quiet", 0, value)],
               detail=count(layer.weights, "weight"))


def weights_by_kind(layers: Sequence[LayerView]) -> Markup | None:
    """One bar for all weights of the network, split into 2:4 and dense."""
    total = sum(layer.weights for layer in layers)
    sparse = sum(layer.weights for layer in layers if layer.two_four)
    if not total:
        return None
    parts = [("int8", sparse, "2:4"), ("quiet", total - sparse, "dense")]
    bars = [tag("b", class_=tone, style=f"flex-grow:{part}") for tone, part, _ in parts if part]
    entries = [(f"bar {tone}", f"{name}: {part:,} ({percent(part / total, 1)})") for tone, part, name in parts]
    return figure(f"All {count(total, 'weight')} of the network", tag("div", *bars, class_="split", aria_hidden="true"),
                  legend(entries), note="Layers that are pruned or not, by their number of weights.")


def ranges(name: str, found: Sequence[Range]) -> Markup | None:
    """The calibrated range of quantizers, on a logarithmic axis: a dot per tensor, a span where channels differ."""
    if not found:
        return None
    scale = logarithmic([value for item in found for value in channels(item)])
    return chart(name, [_range(item) for item in found], scale, kind="code", note="Largest magnitude that is represented.",
                 unit="log")


def channels(item: Range) -> list[float]:
    """The ranges of one quantizer as a sorted list, one per channel or one in all."""
    return sorted(item.amax) if isinstance(item.amax, list) else [item.amax]


def _range(item: Range) -> Row:
    values = channels(item)
    low, middle, high = values[0], values[len(values) // 2], values[-1]
    name = item.tensor.removesuffix(".input_quantizer").removesuffix(".weight_quantizer")
    if len(values) == 1:
        return Row(name, number(high), [Mark("dot", "int8", high)])
    return Row(name, f"{number(low)} {DASH} {number(high)}", [Mark("span", "int8", low, high), Mark("tick", "int8", middle)],
               detail=count(len(values), "channel"))


__all__ = [
    "TITLES", "accuracy", "channels", "curves", "one_shot", "ranges", "time_spent", "title", "two_four", "weights_by_kind",
]
