"""What the training stages of a recipe imply: which combinations are possible, and what fills the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..training.config import ModelConfig, OptimizerConfig, TrainConfig

ORDER = ("dense", "sparse", "qat")
_METHODS = {"dense": ("supervised",), "sparse": ("asp",), "qat": ("qat",)}
_EPOCHS = 10


def check(training: list[TrainConfig], model: ModelConfig, given: bool = False) -> None:
    """Refuse what can't be; `given` networks come with quantizers, and so with weights.

    Raises:
        ValueError: with the reason, for pydantic to report.
    """
    names = [train.stage for train in training]
    if sorted(set(names), key=ORDER.index) != names:
        raise ValueError(f"training: the stages come in the order {', '.join(ORDER)}, each at most once")
    if "dense" not in names and model.weights is None and not given:
        raise ValueError("training: there is no dense stage, so model.weights must name trained weights (or, if the "
                         "factory returns a calibrated quantized network, calibrate.method be `given`)")
    if model.weights is not None and not Path(model.weights).is_file():
        raise ValueError(f"model.weights: there is no file {model.weights}")
    measured = [] if "dense" in names else ["dense"]
    for index, train in enumerate(training):
        _check_stage(train, [*measured, *names[:index]], f"training.{index}")


def _check_stage(train: TrainConfig, earlier: Sequence[str], where: str) -> None:
    if train.method is not None and train.method not in _METHODS[train.stage]:
        raise ValueError(
            f"{where}.method: a {train.stage} stage can't use {train.method!r}, only {', '.join(_METHODS[train.stage])}"
        )
    if train.stage != "sparse" and (train.layers.include or train.layers.exclude):
        raise ValueError(f"{where}.layers: only the sparse stage chooses layers")
    if train.distill is not None and train.distill.teacher not in earlier:
        raise ValueError(f"{where}.distill.teacher: {train.distill.teacher!r} is no earlier stage of this recipe")


def resolve(training: list[TrainConfig]) -> list[TrainConfig]:
    """Fill in stages, methods, epochs and optimizers, by the rules that `TrainConfig` documents.

    Weights that are given take the place of dense training: a dense stage of no epochs measures them, so that what
    follows has a teacher and something to be compared with.
    """
    dense = next((train for train in training if train.stage == "dense"), None)
    epochs = dense.epochs if dense and dense.epochs is not None else _EPOCHS
    optimizer = (dense.optimizer if dense else None) or OptimizerConfig()
    given = [] if dense else [TrainConfig(stage="dense", epochs=0)]
    return [_filled(train, epochs, optimizer) for train in [*given, *training]]


def _filled(train: TrainConfig, epochs: int, optimizer: OptimizerConfig) -> TrainConfig:
    if train.stage == "qat":
        epochs = max(1, epochs // 10)
        optimizer = optimizer.model_copy(update={"lr": optimizer.lr / 100})
    return train.model_copy(
        update={
            "method": train.method or _METHODS[train.stage][0],
            "epochs": epochs if train.epochs is None else train.epochs,
            "optimizer": _merged(train.optimizer, optimizer),
        }
    )


def _merged(own: OptimizerConfig | None, base: OptimizerConfig) -> OptimizerConfig:
    """`base`, with what the stage itself says in its place."""
    said = {name: getattr(own, name) for name in own.model_fields_set} if own else {}
    return base.model_copy(update=said)


__all__ = ["ORDER", "check", "resolve"]
