"""Plots over two axes: the drawing stretches with the page, its labels are text of the page and don't."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from .markup import left, svg, tag
from .scale import Scale

_WIDTH, _HEIGHT = 1000, 400


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Attributes:
        name: for the legend and for those who hear the page.
        tone: its colour, as a class of the style sheet.
        points: (x, y), in order of x.
        dots: mark each point.
        joined: draw the line between them.
    """

    name: str
    tone: str
    points: Sequence[tuple[float, float]]
    dots: bool = True
    joined: bool = True


def lines(
    title: str,
    description: str,
    series: Sequence[Series],
    x: Scale,
    y: Scale,
    *,
    level: float | None = None,
) -> Markup:
    """Lines over two axes, without title and legend (see `rows.figure`).

    Args:
        title: what is drawn, for those who hear the page.
        description: what there is to see in it.
        series: the lines.
        x: horizontal axis.
        y: vertical axis.
        level: a dashed horizontal line.
    """
    drawn = [_grid(y), *([_level(level, y)] if level is not None else []), *(_line(item, x, y) for item in series)]
    canvas = tag("div", svg(title, description, _WIDTH, _HEIGHT, *drawn), class_="canvas")
    up = [tag("span", y.text(tick), style=f"bottom:{y.at(tick):.2f}%") for tick in y.ticks]
    along = [tag("span", x.text(tick), style=left(x.at(tick))) for tick in x.ticks]
    return tag("div", tag("div", *up, class_="up"), canvas, tag("div", *along, class_="along"), class_="plot")


def _point(x: float, y: float, across: Scale, up: Scale) -> str:
    return f"{across.at(x) * _WIDTH / 100:.1f} {_HEIGHT - up.at(y) * _HEIGHT / 100:.1f}"


def _grid(y: Scale) -> Markup:
    heights = (_HEIGHT - y.at(tick) * _HEIGHT / 100 for tick in y.ticks)
    return tag("path", d="".join(f"M0 {height:.1f}H{_WIDTH}" for height in heights), class_="grid")


def _level(value: float, y: Scale) -> Markup:
    return tag("path", d=f"M0 {_HEIGHT - y.at(value) * _HEIGHT / 100:.1f}H{_WIDTH}", class_="level")


def _line(series: Series, x: Scale, y: Scale) -> Markup:
    points = [_point(*point, x, y) for point in series.points]
    line = tag("path", d="M" + "L".join(points), class_=f"line {series.tone}") if points and series.joined else None
    dots = tag("path", d="".join(f"M{point}h.01" for point in points), class_=f"dots {series.tone}")
    return tag("g", line, dots if series.dots else None)


def density(title: str, description: str, samples: Sequence[float], scale: Scale, tone: str, bins: int = 90) -> Markup:
    """The distribution of `samples` over `scale` as a filled shape; its highest bin touches the top.

    Samples beyond the ends of the axis are not drawn.
    """
    counts, _ = np.histogram(samples, bins=bins, range=(scale.low, scale.high))
    heights = _HEIGHT * (1 - counts / max(1, counts.max()))
    width = _WIDTH / bins
    steps = "".join(f"V{height:.1f}H{(index + 1) * width:.1f}" for index, height in enumerate(heights))
    return svg(
        title, description, _WIDTH, _HEIGHT, tag("path", d=f"M0 {_HEIGHT}{steps}V{_HEIGHT}Z", class_=f"area {tone}")
    )


__all__ = ["Series", "density", "lines"]
