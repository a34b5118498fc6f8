"""What the training stages of a recipe imply: which combinations are possible, and what fills the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..training.config import (
    BY_SHARE,
    AdversarialAmendmentConfig,
    ModelConfig,
    OptimizerConfig,
    PhaseConfig,
    TrainConfig,
)
from .generators import check_generator, named, with_generators
from .teaching import check_gpusq, check_group_knowledge, check_pairs

ORDER = ("dense", "sparse", "qat")
_METHODS = {
    "dense": ("supervised", "group_knowledge", "adversarial_amendment", "gan"),
    "sparse": ("asp", "sr_ste", "gradual", "gpusq", "gan_compression", "gan"),
    "qat": ("qat", "gpusq", "gan_compression", "gan"),
}
_PRUNING = ("layers", "pattern", "sparsity", "scores", "permute", "sr_ste", "gradual")
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
    training = named(training)
    for index, train in enumerate(training):
        where, earlier = f"training.{index}", [*measured, *names[:index]]
        _check_stage(train, earlier, where)
        check_gpusq(train, training[:index], earlier, where)
        check_group_knowledge(train, where)
        check_generator(train, training[:index], earlier, where)
        check_pairs(train, where)


def _check_stage(train: TrainConfig, earlier: Sequence[str], where: str) -> None:
    if train.method is not None and train.method not in _METHODS[train.stage]:
        raise ValueError(
            f"{where}.method: a {train.stage} stage can't use {train.method!r}, only {', '.join(_METHODS[train.stage])}"
        )
    _check_pruning(train, where)
    _check_phases(train, where)
    _check_amendment(train, where)
    if train.distill is not None and train.distill.teacher not in earlier:
        raise ValueError(f"{where}.distill.teacher: {train.distill.teacher!r} is no earlier stage of this recipe")


def _check_pruning(train: TrainConfig, where: str) -> None:
    method = train.method or _METHODS[train.stage][0]
    said = [name for name in _PRUNING if getattr(train, name) != TrainConfig.model_fields[name].default]
    if said and train.stage != "sparse":
        raise ValueError(f"{where}.{said[0]}: only the sparse stage prunes")
    users = {"sr_ste": ("sr_ste",), "gradual": ("gradual", "gan_compression")}
    for name, methods in users.items():
        if name in said and method not in methods:
            raise ValueError(f"{where}.{name}: the method of this stage is {method}, which has no such settings")
    if train.sparsity is not None and train.pattern not in BY_SHARE:
        raise ValueError(f"{where}.sparsity: the pattern {train.pattern} says it already; it is for `unstructured` and "
                         "`filters`")
    if train.permute and train.pattern != "2:4":
        raise ValueError(f"{where}.permute: the search is for 2:4, and the pattern is {train.pattern}")


def _check_amendment(train: TrainConfig, where: str) -> None:
    if train.adversarial_amendment != AdversarialAmendmentConfig() and train.method != "adversarial_amendment":
        raise ValueError(f"{where}.adversarial_amendment: the method of this stage is not adversarial_amendment")


def _check_phases(train: TrainConfig, where: str) -> None:
    if train.phases is None:
        return
    if train.epochs is not None or train.optimizer is not None:
        raise ValueError(f"{where}.phases: each phase has its own epochs and optimizer; the stage can't have them too")
    if train.phases[-1].data is not None:
        raise ValueError(f"{where}.phases: the last phase trains on the recipe's own data, so it names none")
    if train.total_epochs and not train.phases[-1].epochs:
        raise ValueError(f"{where}.phases: the last phase needs an epoch at least: the stage is judged after it")


def resolve(training: list[TrainConfig]) -> list[TrainConfig]:
    """Fill in stages, methods, epochs and optimizers, by the rules that `TrainConfig` documents.

    Weights that are given take the place of dense training: a dense stage of no epochs measures them, so that what
    follows has a teacher and something to be compared with.
    """
    dense = next((train for train in training if train.stage == "dense"), None)
    given = [] if dense else [TrainConfig(stage="dense", epochs=0)]
    base = _phases(dense, [PhaseConfig(epochs=_EPOCHS)])
    return with_generators([_filled(train, base) for train in named([*given, *training])])


def _phases(train: TrainConfig | None, base: list[PhaseConfig]) -> list[PhaseConfig]:
    """The phases of a stage; what it doesn't say is as in `base`, and of several as in the last."""
    if train is None:
        return base
    if train.phases:
        return train.phases
    if train.epochs is None and train.optimizer is None:
        return base
    last = base[-1]
    epochs = sum(phase.epochs for phase in base) if train.epochs is None else train.epochs
    return [PhaseConfig(epochs=epochs, optimizer=_merged(train.optimizer, last.optimizer))]


def _filled(train: TrainConfig, base: list[PhaseConfig]) -> TrainConfig:
    phases = _phases(train, _fine_tuning(base) if train.stage == "qat" else base)
    said: dict[str, object] = {"method": train.method or _METHODS[train.stage][0]}
    if train.phases or len(phases) > 1:
        return train.model_copy(update={**said, "phases": phases})
    return train.model_copy(update={**said, "epochs": phases[0].epochs, "optimizer": phases[0].optimizer})


def _fine_tuning(base: list[PhaseConfig]) -> list[PhaseConfig]:
    optimizer = base[-1].optimizer
    epochs = max(1, sum(phase.epochs for phase in base) // 10)
    return [PhaseConfig(epochs=epochs, optimizer=optimizer.model_copy(update={"lr": optimizer.lr / 100}))]


def _merged(own: OptimizerConfig | None, base: OptimizerConfig) -> OptimizerConfig:
    """`base`, with what the stage itself says in its place."""
    said = {name: getattr(own, name) for name in own.model_fields_set} if own else {}
    return base.model_copy(update=said)


__all__ = ["ORDER", "check", "resolve"]
