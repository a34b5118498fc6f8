"""Axes: where a value lies between two ends, in percent, and which round values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .words import plain


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis.

    Attributes:
        low: value at 0 %.
        high: value at 100 %, greater than `low`.
        ticks: the values that are written, within the two.
        text: how a value is written on the axis.
        log: logarithmic; then `low` is above zero.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    text: Callable[[float], str]
    log: bool = False

    def at(self, value: float) -> float:
        """The position of `value`, 0 to 100; values beyond the ends lie on them."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return 100 * min(1.0, max(0.0, share))


def linear(
    values: Sequence[float],
    text: Callable[[float], str] = plain,
    *,
    zero: bool = False,
    most: float | None = None,
) -> Scale:
    """An axis that holds `values`, with 3 to 5 round ticks.

    Args:
        values: what will be drawn; may be empty.
        text: how a tick is written.
        zero: begin at zero.
        most: a value that cannot be exceeded (1.0 for a share), where the axis ends if it would pass it.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = min(low, 0.0) if zero else low
    if high - low <= 1e-9 * max(abs(high), 1e-9):
        room = abs(high) * 0.1 or 1.0
        low, high = (low, high + room) if zero else (low - room, high + room)
        high = high if most is None else min(high, max(most, *values))
    magnitude = 10.0 ** math.floor(math.log10((high - low) / 4))
    step, first, last = next(found for factor in (1, 2, 5, 10, 20) if (found := _steps(low, high, magnitude * factor)))
    ticks = [round(index * step, 12) for index in range(first, last + 1)]
    if most is not None and ticks[-1] > most >= high:
        ticks = [*(tick for tick in ticks if tick < most - step / 2), most]
    return Scale(ticks[0], ticks[-1], tuple(ticks), text)


def _steps(low: float, high: float, step: float) -> tuple[float, int, int] | None:
    """The step and the first and last multiple that hold both ends, where there are at most 5 multiples."""
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return (step, first, last) if last - first < 5 else None


def logarithmic(values: Sequence[float], text: Callable[[float], str] = plain) -> Scale:
    """An axis that holds the positive ones of `values` between powers of ten, with at most 5 ticks at powers of ten."""
    positive = [value for value in values if value > 0] or [1.0]
    first = math.floor(math.log10(min(positive)) + 1e-9)
    last = max(first + 1, math.ceil(math.log10(max(positive)) - 1e-9))
    stride = -(-(last - first) // 4)
    ticks = tuple(10.0**power for power in range(first, last + 1, stride))
    return Scale(10.0**first, 10.0**last, ticks, text, log=True)


def ratios(values: Sequence[float], text: Callable[[float], str] = plain) -> Scale:
    """A logarithmic axis for ratios that always shows 1, with ticks at ratios people know."""
    low, high = min([*values, 0.9]), max([*values, 1.25])
    known = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 1000, 10000)
    below = max((item for item in known if item <= low), default=low)
    above = min((item for item in known if item >= high), default=high)
    ticks = [item for item in known if below <= item <= above]
    if len(ticks) > 5:
        ticks = [item for item in ticks if item in (below, 1, 4, 32, above)]
    return Scale(below, above, tuple(ticks), text, log=True)


__all__ = ["Scale", "linear", "logarithmic", "ratios"]
