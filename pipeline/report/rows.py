"""Charts made of rows: a name, a track with marks, a figure. All text stays text, at its own size on any screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from .markup import Child, left, tag
from .scale import Scale
from .words import SPACE


@dataclass(frozen=True)
class Mark:
    """Something at one value of a track (`dot`, `ring`, `tick`) or between two (`bar`, `span`).

    Attributes:
        kind: its shape.
        tone: its colour, as a class of the style sheet (`int8`, `fp32`, `accent`, `quiet`, `good`, `bad`).
        start: the value, or the lower of the two.
        end: the upper value of a bar or span.
    """

    kind: Literal["dot", "ring", "tick", "bar", "span"]
    tone: str
    start: float
    end: float | None = None


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: what it is about.
        value: its figure, written out.
        marks: drawn on the track, in order.
        art: a drawing that fills the track.
        detail: a second, quieter line under the name.
    """

    name: str
    value: str
    marks: Sequence[Mark] = ()
    art: Markup | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Rule:
    """A vertical line through all rows, explained in the legend; `until` makes it a band."""

    at: float
    text: str
    tone: str = "quiet"
    until: float | None = None


def legend(entries: Sequence[tuple[str, str]]) -> Markup | None:
    """Swatches: (class of the swatch, text)."""
    items = [tag("li", tag("i", class_=f"swatch {kind}"), text) for kind, text in entries]
    return tag("ul", *items, class_="legend") if items else None


def figure(title: str, *children: Child, note: str | None = None, kind: str = "") -> Markup:
    """A chart with its title, and a note under it."""
    caption = tag("figcaption", tag("strong", title), tag("span", note, class_="note") if note else None)
    return tag("figure", caption, *children, class_=f"chart {kind}".strip())


def chart(
    title: str,
    rows: Sequence[Row],
    scale: Scale,
    *,
    note: str | None = None,
    rules: Sequence[Rule] = (),
    entries: Sequence[tuple[str, str]] = (),
    kind: str = "",
    unit: str = "",
) -> Markup:
    """Rows over one common axis.

    Args:
        title: what the chart shows, a phrase.
        rows: top to bottom.
        scale: the axis of all tracks.
        note: how to read it.
        rules: lines and bands through all tracks.
        entries: the legend, (class of the swatch, text).
        kind: a class for the style sheet (`tall`, `code`).
        unit: written behind the last tick.
    """
    swatches = [
        *entries,
        *((f"{'band' if rule.until is not None else 'rule'} {rule.tone}", rule.text) for rule in rules),
    ]
    body = [_row(row, scale, rules) for row in rows]
    return figure(title, legend(swatches), tag("div", *body, _axis(scale, unit), class_="rows"), note=note, kind=kind)


def _row(row: Row, scale: Scale, rules: Sequence[Rule]) -> Markup:
    grid = [tag("i", class_="grid", style=left(scale.at(tick))) for tick in scale.ticks]
    lines = [_rule(rule, scale) for rule in rules]
    marks = [_mark(mark, scale) for mark in row.marks]
    name = tag("div", row.name, tag("small", row.detail) if row.detail else None, class_="name")
    track = tag("div", *grid, *lines, row.art, *marks, class_="track", aria_hidden=None if row.art else "true")
    return tag("div", name, track, tag("div", row.value, class_="value"), class_="row")


def _rule(rule: Rule, scale: Scale) -> Markup:
    start = scale.at(rule.at)
    if rule.until is None:
        return tag("i", class_=f"rule {rule.tone}", style=left(start))
    return tag("i", class_=f"band {rule.tone}", style=f"{left(start)};width:{scale.at(rule.until) - start:.2f}%")


def _mark(mark: Mark, scale: Scale) -> Markup:
    start = scale.at(mark.start)
    style = left(start)
    if mark.end is not None:
        style += f";width:{max(0.0, scale.at(mark.end) - start):.2f}%"
    return tag("b", class_=f"{mark.kind} {mark.tone}", style=style)


def _axis(scale: Scale, unit: str) -> Markup:
    texts = [scale.text(tick) for tick in scale.ticks]
    texts[-1] += f"{SPACE}{unit}" if unit else ""
    labels = [
        tag("span", text, class_=f"label {_side(scale.at(tick))}", style=left(scale.at(tick)))
        for tick, text in zip(scale.ticks, texts, strict=True)
    ]
    empty = tag("div", class_="name"), tag("div", *labels, class_="track"), tag("div", class_="value")
    return tag("div", *empty, class_="row axis")


def _side(position: float) -> str:
    return "start" if position < 4 else "end" if position > 96 else "mid"


__all__ = ["Mark", "Row", "Rule", "chart", "figure", "legend"]
