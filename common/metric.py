"""The metrics of tasks: their names, which way is better, what a loss of one is, and how it is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Metric = Literal["accuracy", "ssim", "feature_distance"]
METRICS: tuple[Metric, ...] = ("accuracy", "ssim", "feature_distance")
ACCURACY: Metric = "accuracy"
DISTANCE: Metric = "feature_distance"
PICTURES: tuple[Metric, ...] = ("ssim", DISTANCE)
_LOWER = (DISTANCE,)
_LEAST = 1e-12  # a distance that is no distance


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value is the better one."""
    return metric in _LOWER


def loss_of(metric: str, whole: float, value: float) -> float:
    """What is lost from `whole` to `value`, positive where `value` is worse; `max_drop` is held against it.

    Returns:
        Of `accuracy` and `ssim` the difference; of `feature_distance`, which has no scale of its own, the rise as a
        share of `whole`.
    """
    return (value - whole) / max(whole, _LEAST) if lower_is_better(metric) else whole - value


def metric_in(names: Iterable[str]) -> str | None:
    """The task's metric among the names of what was measured: the first one that is a metric."""
    return next((name for name in names if name in METRICS), None)


def written(metric: str, value: float) -> str:
    """As people read it: `98.61 %`, `0.987`, `3.21`."""
    if metric == "ssim":
        return f"{value:.3f}"
    return f"{value:.3g}" if metric == "feature_distance" else f"{100 * value:.2f} %"


__all__ = [
    "ACCURACY", "DISTANCE", "METRICS", "PICTURES", "Metric", "loss_of", "lower_is_better", "metric_in", "written",
]
