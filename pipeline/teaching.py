"""Which stages can have a method that teaches, and what its settings and INT4 imply for the rest of the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..calibrate.config import CalibrateConfig
from ..training.config import GpusqConfig, GroupKnowledgeConfig, TrainConfig

ACCURACY_ONLY = (
    "4 bits are fake quantization, to measure accuracy with: no export and no engine is made, and nothing is timed."
)
FOUR = 4


def check_gpusq(train: TrainConfig, before: Sequence[TrainConfig], names: Sequence[str], where: str) -> None:
    """Refuse a stage whose method or settings of GPUSQ-ViT can't be.

    Args:
        train: the stage.
        before: the stages listed before it.
        names: the names of all stages that can teach it.
        where: its key.

    Raises:
        ValueError: with the reason, for pydantic to report.
    """
    if train.method != "gpusq":
        if train.gpusq != GpusqConfig():
            raise ValueError(f"{where}.gpusq: the method of this stage is not gpusq")
        return
    if train.teacher not in names:
        raise ValueError(f"{where}.method: gpusq in a {train.stage} stage learns from the {train.teacher} stage, and "
                         "there is none before it")
    if train.distill is not None:
        raise ValueError(f"{where}.distill: gpusq has a teacher and weights of its own (the key gpusq); leave one out")
    if train.stage == "sparse" and train.gpusq.factors != GpusqConfig().factors:
        raise ValueError(f"{where}.gpusq.factors: they are used in qat, and taken from what the sparse stage learned")
    if train.stage == "qat" and train.gpusq.feature and train.gpusq.factors != "none":
        _check_factors(next(stage for stage in before if stage.stage == "sparse"), train.gpusq, where)


def _check_factors(sparse: TrainConfig, config: GpusqConfig, where: str) -> None:
    if sparse.method == "gpusq" and sparse.gpusq.feature and sparse.epochs != 0:
        return
    raise ValueError(f"{where}.gpusq.factors: {config.factors} needs the feature losses of a sparse stage with method "
                     "gpusq, a feature weight and an epoch; set it to none")


def check_group_knowledge(train: TrainConfig, where: str) -> None:
    """Refuse settings of group knowledge without the method.

    Raises:
        ValueError: with the reason, for pydantic to report.
    """
    if train.method != "group_knowledge" and train.group_knowledge != GroupKnowledgeConfig():
        raise ValueError(f"{where}.group_knowledge: the method of this stage is not group_knowledge")


def check_pairs(train: TrainConfig, where: str) -> None:
    """Refuse pairs that can't be.

    Raises:
        ValueError: with the reason, for pydantic to report.
    """
    if train.pairs is not None and train.stage != "sparse":
        raise ValueError(f"{where}.pairs: only the sparse stage prunes")
    if train.pairs and (train.pattern != "2:4" or train.permute):
        other = "permute searches for" if train.permute else f"the pattern is {train.pattern}, and pairs are of"
        raise ValueError(f"{where}.pairs: {other} 2:4")


def check_four_bits(calibrate: CalibrateConfig, asked: bool) -> None:
    """Refuse engines where there will be none.

    Args:
        calibrate: of the recipe.
        asked: the recipe names engines.

    Raises:
        ValueError: with the reason, for pydantic to report.
    """
    if calibrate.bits == FOUR and asked:
        raise ValueError(f"engines: {ACCURACY_ONLY} Set `engines: []`, or calibrate.bits to 8")
    if calibrate.bits == FOUR and calibrate.method == "given":
        raise ValueError("calibrate.bits: a network that comes with quantizers keeps them, and they have 8 bits")


def four_bits(calibrate: CalibrateConfig, training: Sequence[TrainConfig]) -> dict[str, Any]:
    """What 4 bits fill in: quantizers at GEMM inputs and weights, least squared error, pairs, and no engine."""
    filled = {"placement": "weights-and-inputs", "method": "mse"}
    said = {name: value for name, value in filled.items() if name not in calibrate.model_fields_set}
    return {"calibrate": calibrate.model_copy(update=said), "training": [_paired(train) for train in training],
            "engines": []}


def _paired(train: TrainConfig) -> TrainConfig:
    plain = train.stage == "sparse" and train.pairs is None and train.pattern == "2:4" and not train.permute
    return train.model_copy(update={"pairs": True}) if plain else train


__all__ = [
    "ACCURACY_ONLY", "FOUR", "check_four_bits", "check_gpusq", "check_group_knowledge", "check_pairs", "four_bits",
]
