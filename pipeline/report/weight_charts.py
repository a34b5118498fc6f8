"""The charts about the weights and the quantizers: 2:4 by layer, ranges."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ...common.bundle import Range
from .layers import LayerView
from .markup import tag
from .rows import Mark, Row, Rule, chart, figure, legend
from .scale import Scale, logarithmic
from .words import DASH, count, number, percent


def _quarter(share: float) -> str:
    return percent(share, 0)


def two_four(layers: Sequence[LayerView]) -> Markup | None:
    """The share of zero weights of every layer; one half is what 2:4 needs."""
    if not layers:
        return None
    measured = any(layer.measured for layer in layers)
    scale = Scale(0, 1, (0, 0.25, 0.5, 0.75, 1), _quarter)
    rules = [Rule(0.5, "one half: 2 of every 4", "quiet")]
    note = (
        "Zeros among the integers of the engine; the width of a bar says nothing about speed."
        if measured
        else "As decided in training; no engine was built that could be looked into."
    )
    entries = [("bar int8", "2:4 weights"), ("bar quiet", "dense weights")]
    return chart(
        "Zeros, layer by layer",
        [_zeros(layer) for layer in layers],
        scale,
        note=note,
        rules=rules,
        entries=entries,
        kind="code",
    )


def _zeros(layer: LayerView) -> Row:
    value = layer.zeros if layer.zeros is not None else 0.5 if layer.two_four else 0.0
    text = f"{percent(value, 1)} zero" if layer.zeros is not None else "2:4" if layer.two_four else "dense"
    return Row(
        layer.name,
        text,
        [Mark("bar", "int8" if layer.two_four else "quiet", 0, value)],
        detail=count(layer.weights, "weight"),
    )


def weights_by_kind(layers: Sequence[LayerView]) -> Markup | None:
    """One bar for all weights of the network, split into 2:4 and dense."""
    total = sum(layer.weights for layer in layers)
    sparse = sum(layer.weights for layer in layers if layer.two_four)
    if not total:
        return None
    parts = [("int8", sparse, "2:4"), ("quiet", total - sparse, "dense")]
    bars = [tag("b", class_=tone, style=f"flex-grow:{part}") for tone, part, _ in parts if part]
    entries = [(f"bar {tone}", f"{name}: {part:,} ({percent(part / total, 1)})") for tone, part, name in parts]
    return figure(
        f"All {count(total, 'weight')} of the network",
        tag("div", *bars, class_="split", aria_hidden="true"),
        legend(entries),
        note="Layers that are pruned or not, by their number of weights.",
    )


def ranges(name: str, found: Sequence[Range]) -> Markup | None:
    """The calibrated range of quantizers, on a logarithmic axis: a dot per tensor, a span where channels differ."""
    if not found:
        return None
    scale = logarithmic([value for item in found for value in channels(item)])
    note = "Largest magnitude that is represented; the axis is logarithmic."
    return chart(name, [_range(item) for item in found], scale, kind="code", note=note)


def channels(item: Range) -> list[float]:
    """The ranges of one quantizer as a sorted list, one per channel or one in all."""
    return sorted(item.amax) if isinstance(item.amax, list) else [item.amax]


def _range(item: Range) -> Row:
    values = channels(item)
    low, middle, high = values[0], values[len(values) // 2], values[-1]
    name = item.tensor.removesuffix(".input_quantizer").removesuffix(".weight_quantizer")
    if len(values) == 1:
        return Row(name, number(high), [Mark("dot", "int8", high)])
    marks = [Mark("span", "int8", low, high), Mark("tick", "int8", middle)]
    return Row(name, f"{number(low)} {DASH} {number(high)}", marks, detail=count(len(values), "channel"))


__all__ = ["channels", "ranges", "two_four", "weights_by_kind"]
