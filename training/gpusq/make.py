"""The objective of a gpusq stage, from the folder of the stage that teaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...common.errors import UserError
from ..config import ModelConfig, TrainConfig
from ..restore import load_stage
from .critical import critical_layers
from .factors import factors, read_losses
from .objective import Gpusq


def make_objective(model: ModelConfig, train: TrainConfig, smoothing: Sequence[float], teacher: Path | None) -> Gpusq:
    """Load the teacher and choose the layers and their factors.

    Args:
        model: where the networks come from.
        train: a sparse or qat stage with `method: gpusq`.
        smoothing: label smoothing of each epoch.
        teacher: folder of the stage that teaches.

    Raises:
        UserError: there is no teacher, a critical pattern matches nothing, or the factors' losses are missing.
    """
    if teacher is None:
        raise UserError("A stage with method gpusq learns from a teacher, and there is none.",
                        where=f"training: {train.stage}", fix="Train the stage before it too, or take another method.")
    config, network = train.gpusq, load_stage(model, teacher)
    layers = critical_layers(network, config.critical) if config.feature else []
    weights = dict.fromkeys(layers, 1.0)
    if layers and train.stage == "qat" and config.factors != "none":
        weights = factors(read_losses(teacher, layers), config.factors)
    return Gpusq(network, config, layers, weights, smoothing)


__all__ = ["make_objective"]
