"""What may be said of a ratio that was measured: its interval, and the verdict. Needs NumPy alone."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Times = np.ndarray[Any, np.dtype[np.float64]]
RESAMPLES = 1000
_SEED = 24
_STRETCHES, _STUDENT = 8, 2.365  # the 97.5 % point of Student's t with 7 degrees of freedom


def percentile(values: Times, share: float) -> float:
    """The value below which `share` percent lie, interpolated linearly between order statistics.

    Hyndman and Fan's definition 7, NumPy's default: position (n - 1) * share / 100 of the sorted values.
    """
    return float(np.percentile(values, share))


def verdict(low: float, high: float) -> Literal["faster", "slower", "no difference"]:
    """What an interval of a speed-up allows to say."""
    if low <= 1 <= high:
        return "no difference"
    return "faster" if low > 1 else "slower"


def interval(values: Times, *, seed: int = _SEED) -> tuple[float, float]:
    """A 95 % interval of the median of positive `values`, which were measured one after the other.

    Neighbouring rounds share the machine's mood, so both methods that make it up keep neighbours together, and the
    wider end of the two counts: a circular block bootstrap (Politis and Romano, 1992), whose blocks grow with the cube
    root of the number of rounds, and Student's interval over the medians of `_STRETCHES` stretches of the series
    (batch means), which holds up where the mood changes slowly.

    Args:
        values: in the order of measurement; at least one.
        seed: of the draws. Defaults to a fixed one: the same times give the same interval.
    """
    ends = [_bootstrap(values, seed), _stretches(values)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _bootstrap(values: Times, seed: int) -> tuple[float, float]:
    count = len(values)
    block = min(count, max(2, round(count ** (1 / 3))))  # 2: a pair of rounds with opposite order of the arms
    starts = np.random.default_rng(seed).integers(0, count, size=(RESAMPLES, -(-count // block)))
    chosen = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count] % count
    medians = np.median(values[chosen], axis=1)
    return percentile(medians, 2.5), percentile(medians, 97.5)


def _stretches(values: Times) -> tuple[float, float]:
    middle = float(np.median(values))
    if len(values) < _STRETCHES:
        return middle, middle
    medians = [float(np.median(part)) for part in np.array_split(np.log(values), _STRETCHES)]
    reach = np.exp(_STUDENT * float(np.std(medians, ddof=1)) / np.sqrt(_STRETCHES))
    return float(middle / reach), float(middle * reach)


__all__ = ["RESAMPLES", "Times", "interval", "percentile", "verdict"]
