"""The task's metric from recorded answers, as engines compute it from theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..common.agreement import predictions
from ..common.errors import UserError
from ..common.images import Features, Score

Array = np.ndarray[Any, Any]


def measured(
    metric: str, outputs: Mapping[str, Array], targets: Array, data_range: float | None = None,
    features: Features | None = None,
) -> dict[str, float]:
    """The metric by its name, first, from the first output; of pictures also what else is known of them.

    Args:
        metric: one of `metric.METRICS`.
        outputs: by name, samples first.
        targets: classes, or pictures.
        data_range: of the pictures. Defaults to class scores.
        features: what pictures are measured in. Defaults to none.

    Raises:
        UserError: the targets don't fit the outputs.
    """
    if data_range is None:
        return {metric: accuracy(outputs, targets)}
    score = Score(metric, data_range, features)
    score.see(next(iter(outputs.values())), targets, "validation samples")
    return score.metrics()


def accuracy(outputs: Mapping[str, Array], targets: Array) -> float:
    """Share of right classes, from the first output.

    Raises:
        UserError: the targets' shape is not that of the predictions.
    """
    classes = predictions(next(iter(outputs.values())))
    if classes.shape != targets.shape:
        raise UserError(f"The network predicts classes of shape {classes.shape}, but the targets have {targets.shape}.")
    return float(np.mean(classes == targets))


__all__ = ["accuracy", "measured"]
