"""Which stages can train and compress a generator beside a discriminator, and what that implies for the others."""

from __future__ import annotations

from collections.abc import Sequence

from ..training.config import GanCompressionConfig, GanConfig, GradualConfig, TrainConfig

_CURVE = {"initial": 0.05, "end": 0.5}  # what the paper says of its schedule


def named(training: Sequence[TrainConfig]) -> list[TrainConfig]:
    """The stages, with `gan_compression` where a method is left out after a dense stage with `method: gan`."""
    generator = any(train.stage == "dense" and train.method == "gan" for train in training)
    return [train.model_copy(update={"method": "gan_compression"}) if generator and train.method is None else train
            for train in training]


def check_generator(train: TrainConfig, before: Sequence[TrainConfig], names: Sequence[str], where: str) -> None:
    """Refuse a stage whose method or settings of generators can't be.

    Args:
        train: the stage, its method filled in as `named` does.
        before: the stages listed before it.
        names: the names of all stages that can teach it.
        where: its key.

    Raises:
        ValueError: with the reason, for pydantic to report.
    """
    if train.method != "gan_compression" and train.gan_compression != GanCompressionConfig():
        raise ValueError(f"{where}.gan_compression: the method of this stage is not gan_compression")
    if not train.adversarial:
        _check_plain(train, before, where)
        return
    _check_labels(train, where)
    if train.stage == "dense":
        _check_first(train, where)
    else:
        _check_later(train, before, names, where)


def _check_plain(train: TrainConfig, before: Sequence[TrainConfig], where: str) -> None:
    if train.gan != GanConfig():
        raise ValueError(f"{where}.gan: the method of this stage has no discriminator")
    if any(stage.adversarial for stage in before):
        raise ValueError(f"{where}.method: {train.method} learns from labels, and a generator has none; leave it out, "
                         "or take gan_compression or gan")


def _check_labels(train: TrainConfig, where: str) -> None:
    if train.distill is not None:
        raise ValueError(f"{where}.distill: a generator's answers are no classes; gan_compression learns from the "
                         "stage before, and its own key `distill` adds the difference of the pictures")
    optimizers = [phase.optimizer for phase in train.phases or []] + [train.optimizer] * bool(train.optimizer)
    if any(optimizer and optimizer.label_smoothing for optimizer in optimizers):
        raise ValueError(f"{where}.optimizer.label_smoothing: a generator has no labels")


def _check_first(train: TrainConfig, where: str) -> None:
    gan, untrained = train.gan, train.epochs == 0 or (train.phases is not None and not train.total_epochs)
    if gan.discriminator is None:
        raise ValueError(f"{where}.gan.discriminator: a generator is trained beside a discriminator; name its factory, "
                         "such as twofour.training.gan_models:tiny_discriminator")
    if untrained and gan.discriminator.weights is None:
        raise ValueError(f"{where}.gan.discriminator: with no epoch it stays untrained; name its weights")
    if gan.freeze:
        raise ValueError(f"{where}.gan.freeze: in the dense stage the discriminator has yet to learn")


def _check_later(train: TrainConfig, before: Sequence[TrainConfig], names: Sequence[str], where: str) -> None:
    if train.teacher not in names:
        raise ValueError(f"{where}.method: {train.method} in a {train.stage} stage learns from the {train.teacher} "
                         "stage, and there is none before it")
    own = train.gan.discriminator
    trained = next((stage.gan.discriminator for stage in before if stage.adversarial), None)
    if trained is None and (own is None or own.weights is None):
        raise ValueError(f"{where}.gan.discriminator: no stage before has trained one, so its weights must be named")
    if trained is not None and own is not None and own.weights not in (None, trained.weights):
        raise ValueError(f"{where}.gan.discriminator.weights: the stage before trains it; leave them out")
    once = train.gan_compression.prune == "once"
    if once and train.stage != "sparse":
        raise ValueError(f"{where}.gan_compression.prune: only the sparse stage prunes")
    if once and train.gradual != GradualConfig():
        raise ValueError(f"{where}.gradual: gan_compression.prune is once")
    curve = _curve(train)
    if train.method == "gan_compression" and not curve.get("begin", 0.0) < curve["end"]:
        raise ValueError(f"{where}.gradual: begin must be less than end, which is {curve['end']:g} in gan_compression")


def _curve(train: TrainConfig) -> dict[str, float]:
    """The paper's schedule, with what the stage itself says in its place."""
    return _CURVE | {name: getattr(train.gradual, name) for name in train.gradual.model_fields_set}


def with_generators(training: Sequence[TrainConfig]) -> list[TrainConfig]:
    """Fill in what later stages don't say of the discriminator, and the schedule of pruning.

    Args:
        training: stages with their methods.
    """
    base = next((train.gan for train in training if train.adversarial), GanConfig())
    return [_filled(train, base) if train.adversarial else train for train in training]


def _filled(train: TrainConfig, base: GanConfig) -> TrainConfig:
    tuned = base.model_copy(update={"lr": base.lr / 100}) if train.stage == "qat" else base
    said = {name: getattr(train.gan, name) for name in train.gan.model_fields_set}
    update: dict[str, object] = {"gan": tuned.model_copy(update=said)}
    if train.stage == "sparse" and train.method == "gan_compression" and train.gan_compression.prune == "gradual":
        update["gradual"] = GradualConfig.model_validate(_curve(train))
    return train.model_copy(update=update)


__all__ = ["check_generator", "named", "with_generators"]
