"""The task metric, from outputs and targets alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..common.agreement import predictions
from ..common.errors import UserError

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


__all__ = ["correct"]
