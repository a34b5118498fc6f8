"""The objective of a gpusq stage, from the folder of the stage that teaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ...common.errors import UserError
from ..config import TrainConfig
from .critical import critical_layers
from .factors import factors, read_losses
from .objective import Gpusq


def make_objective(
    train: TrainConfig, teacher: nn.Module | None, smoothing: Sequence[float], folder: Path | None
) -> Gpusq:
    """Choose the layers and their factors.

    Args:
        train: a sparse or qat stage with `method: gpusq`.
        teacher: the float network that teaches.
        smoothing: label smoothing of each epoch.
        folder: of the stage that teaches.

    Raises:
        UserError: there is no teacher, a critical pattern matches nothing, or the factors' losses are missing.
    """
    if teacher is None or folder is None:
        raise UserError("A stage with method gpusq learns from a teacher, and there is none.",
                        where=f"training: {train.stage}", fix="Train the stage before it too, or take another method.")
    config = train.gpusq
    layers = critical_layers(teacher, config.critical) if config.feature else []
    weights = dict.fromkeys(layers, 1.0)
    if layers and train.stage == "qat" and config.factors != "none":
        weights = factors(read_losses(folder, layers), config.factors)
    return Gpusq(teacher, config, layers, weights, smoothing)


__all__ = ["make_objective"]
