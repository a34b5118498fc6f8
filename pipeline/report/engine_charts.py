"""The charts about one engine: latency distributions, speed-up with its interval, difference by layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from markupsafe import Markup

from ...engines.records import Latency, LayerDifference, ProfileRecord, Ratio, ValidationRecord
from .plot import Series, density, lines
from .rows import Mark, Row, Rule, chart, figure, legend
from .scale import Scale, linear, ratios
from .words import SPACE, TIMES, arm_name, count, decibels, milliseconds, number, percent, plain, times


def baselines(profile: ProfileRecord) -> set[str]:
    """The arms that others are compared with."""
    return {ratio.baseline for ratio in profile.ratios} - {ratio.arm for ratio in profile.ratios}


def latencies(profile: ProfileRecord) -> list[Markup]:
    """For each batch size, the distribution of every arm's times over one common axis."""
    batches = list(dict.fromkeys(item.batch for item in profile.latencies))
    slow = baselines(profile)
    return [_latency([item for item in profile.latencies if item.batch == batch], slow) for batch in batches]


def _latency(arms: Sequence[Latency], slow: set[str]) -> Markup:
    scale = _times([value for arm in arms for value in _most(arm)])
    rows = [
        _arm(arm, scale, "fp32" if arm.arm in slow else "int8") for arm in sorted(arms, key=lambda a: a.arm not in slow)
    ]
    beyond = sum(value > scale.high for arm in arms for value in arm.samples_ms)
    runs = count(sum(arm.runs for arm in arms), "run")
    note = f"{runs}; height is the share of runs, the line is the median."
    note += f" {count(beyond, 'run')} slower than the axis not drawn." if beyond else ""
    return chart(f"Latency at batch {arms[0].batch}", rows, scale, note=note, kind="tall", unit="ms")


def _most(arm: Latency) -> tuple[float, float]:
    low, high = np.percentile(arm.samples_ms or [arm.p50], (0, 98))
    return float(low), float(high)


def _times(values: Sequence[float]) -> Scale:
    return linear(values, plain, zero=min(values) < 0.5 * max(values))


def _arm(arm: Latency, scale: Scale, tone: str) -> Row:
    said = f"median {milliseconds(arm.p50)}, 95th percentile {milliseconds(arm.p95)}, fastest {milliseconds(arm.min)}"
    art = density(f"Latency of {arm_name(arm.arm)} at batch {arm.batch}", said, arm.samples_ms, scale, tone)
    return Row(
        arm_name(arm.arm),
        milliseconds(arm.p50),
        [Mark("tick", tone, arm.p50)],
        art,
        f"{number(arm.throughput)} samples/s",
    )


def speedups(profile: ProfileRecord) -> Markup | None:
    """The speed-up at each batch size with its 95 % interval; an interval that holds 1 is no difference."""
    if not profile.ratios:
        return None
    scale = ratios(
        [value for ratio in profile.ratios for value in (ratio.low, ratio.high)], lambda tick: f"{tick:g}{TIMES}"
    )
    several = len(baselines(profile)) > 1
    rows = [_speedup(ratio, several) for ratio in profile.ratios]
    note = "The bar is the 95 % interval; where it holds 1, there is no difference. The axis is logarithmic."
    other = "the other" if several else arm_name(profile.ratios[0].baseline)
    rules = [Rule(1, f"as fast as {other}", "accent")]
    return chart("Speed-up", rows, scale, note=note, rules=rules)


def _speedup(ratio: Ratio, several: bool) -> Row:
    tone = {"faster": "good", "slower": "bad"}.get(ratio.verdict, "quiet")
    known = ratio.verdict in ("faster", "slower")
    value = f"{times(ratio.speedup)}" if known else ratio.verdict
    detail = f"{ratio.verdict}, " if known else ""
    detail += f"{times(ratio.low)} to {times(ratio.high)}"
    name = f"Batch {ratio.batch}" + (f", against {arm_name(ratio.baseline)}" if several else "")
    return Row(
        name, value, [Mark("span", tone, ratio.low, ratio.high), Mark("dot", tone, ratio.speedup)], detail=detail
    )


def snr(validation: ValidationRecord) -> Markup | None:
    """How far engine and reference part at each quantizer, from the input to the output."""
    layers = validation.layers
    if not layers:
        return None
    floor = validation.noise_floor.snr_db
    fed = [layer for layer in layers if layer.fed]
    known = [value for layer in layers for value in (layer.snr_db, layer.chained_snr_db) if value is not None]
    y, top = _decibel_axis([*known, *([floor] if floor is not None else []), 0.0])
    x = Scale(1, max(2, len(layers)), _numbers(len(layers)), lambda tick: f"{tick:g}")
    series = [Series("fed by the engine itself", "fp32", _depth(layers, chained=True, exact=top))]
    if fed:
        points = _depth(layers, chained=False, exact=top)
        series.insert(0, Series(f"fed the values of {validation.reference}", "int8", points, joined=False))
    name = f"Signal to noise against {validation.reference}, quantizer by quantizer"
    drawing = lines(name, _said(layers), series, x, y, level=floor)
    entries = [(f"{'line' if item.joined else 'point'} {item.tone}", item.name) for item in series]
    if floor is not None:
        entries.append(("dash", f"noise floor at the output, {decibels(floor)}"))
    note = "Higher is closer; along the bottom the place in the network, numbered as in the table below."
    return figure(name, legend(entries), drawing, note=note)


def _numbers(total: int) -> tuple[float, ...]:
    stride = max(1, -(-total // 5))
    return tuple(float(index) for index in range(1, total + 1, stride))


def _decibel_axis(values: Sequence[float]) -> tuple[Scale, float]:
    """An axis with one more tick on top, for what is equal bit for bit; and the value of that tick."""
    inner = linear(values, lambda tick: f"{tick:g}{SPACE}dB")
    top = inner.high + (inner.ticks[1] - inner.ticks[0])
    text = partial(_decibel_tick, top)
    return Scale(inner.low, top, (*inner.ticks, top), text), top


def _decibel_tick(top: float, tick: float) -> str:
    return "exact" if tick == top else f"{tick:g}{SPACE}dB"


def _depth(layers: Sequence[LayerDifference], *, chained: bool, exact: float) -> list[tuple[float, float]]:
    values = ((layer.chained_snr_db if chained else layer.snr_db, chained or layer.fed) for layer in layers)
    return [(index, exact if value is None else value) for index, (value, known) in enumerate(values, 1) if known]


def _said(layers: Sequence[LayerDifference]) -> str:
    fed = any(layer.fed for layer in layers)
    values = {layer.tensor: layer.snr_db if fed else layer.chained_snr_db for layer in layers if layer.fed or not fed}
    exact = sum(value is None for value in values.values())
    worst = min(values, key=lambda name: float("inf") if values[name] is None else float(values[name] or 0))
    how = "when fed the same values" if fed else "when the engine feeds itself"
    return (
        f"{percent(exact / len(values), 0)} of the places are equal bit for bit {how}; "
        f"the least is {decibels(values[worst])} at {worst}."
    )


__all__ = ["baselines", "latencies", "snr", "speedups"]
