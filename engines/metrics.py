"""The task metric, from outputs and targets alone, batch by batch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..common.agreement import predictions
from ..common.bundle import FEATURES, Bundle
from ..common.errors import UserError
from ..common.images import Score
from ..common.metric import DISTANCE, PICTURES

Array = np.ndarray[Any, Any]


def correct(scores: Array, targets: Array) -> tuple[int, int]:
    """How many predictions are right, and how many there are.

    Args:
        scores: class scores in any float dtype: (N, C), (N, T, C) with classes last, (N, C, H, W); or one score per
            sample, (N,) or (N, 1), whose sign is the prediction.
        targets: integer classes, of the scores' shape without the class axis (an axis of length 1 may stay).

    Raises:
        UserError: targets are no integers, their shape doesn't fit, or a class is out of range.
    """
    found = predictions(scores)
    wanted = targets.reshape(found.shape) if targets.size == found.size and len(targets) == len(found) else targets
    if wanted.shape != found.shape:
        raise UserError(f"Targets of shape {targets.shape} don't fit outputs of shape {scores.shape}.",
                        fix="Accuracy needs one integer class per prediction.")
    if wanted.dtype.kind not in "biu":
        raise UserError(f"Targets have dtype {wanted.dtype}; accuracy needs integer classes.")
    _check_range(wanted, 2 if found.dtype == bool else scores.size // max(found.size, 1))
    return int(np.sum(found == wanted)), int(found.size)


def _check_range(targets: Array, classes: int) -> None:
    if targets.size and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise UserError(f"Targets run from {targets.min()} to {targets.max()}; the model has {classes} classes.")


class Measure(Protocol):
    """Gathers what a metric needs."""

    def see(self, answers: Array, targets: Array) -> None:
        """Take in one batch of the main output.

        Raises:
            UserError: the two don't fit.
        """

    def metrics(self) -> dict[str, float]:
        """The task's metric, first."""


class Accuracy:
    """Share of right predictions."""

    def __init__(self) -> None:
        self._right, self._total = 0, 0

    def see(self, answers: Array, targets: Array) -> None:
        """Count the right ones; see `correct`."""
        right, total = correct(answers, targets)
        self._right, self._total = self._right + right, self._total + total

    def metrics(self) -> dict[str, float]:
        """`accuracy`, 0 to 1."""
        return {"accuracy": self._right / self._total}


def measure_of(source: Bundle) -> Measure:
    """A new measure of the bundle's metric: with pictures also of what else is known of them.

    Raises:
        UserError: the bundle lacks what its metric needs.
    """
    metric, data_range = source.manifest.metric, source.data_range
    if metric not in PICTURES:
        return Accuracy()
    features = source.features
    if data_range is None or (metric == DISTANCE and features is None):
        lacking = "span of the pictures" if data_range is None else FEATURES
        raise UserError(f"The bundle has no {lacking}, which its metric {metric} needs.", where=str(source.folder),
                        fix="Export it again.")
    return Score(metric, data_range, features)


__all__ = ["Accuracy", "Measure", "correct", "measure_of"]
