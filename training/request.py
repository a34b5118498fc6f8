"""What a stage of training is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .config import DataConfig, ModelConfig, TrainConfig


@dataclass(frozen=True)
class StageRequest:
    """What a stage of training is asked to do.

    Attributes:
        model: where the network comes from.
        data: where the samples come from.
        train: the stage, with method, epochs and optimizer filled in.
        seed: the recipe's.
        key: hash of all the inputs; a checkpoint with another key is ignored.
        student: folder of the stage that it starts from, or None for fresh weights (or the model's own).
        teacher: folder of the stage that teaches, or None.
    """

    model: ModelConfig
    data: DataConfig
    train: TrainConfig
    seed: int
    key: str
    student: Path | None = None
    teacher: Path | None = None


__all__ = ["StageRequest"]
