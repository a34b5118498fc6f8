"""The objective of a stage of generators, from its settings and the folder of the stage that teaches."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ...common.errors import UserError
from ..checks import checked
from ..config import GanConfig, TrainConfig
from ..factory import build_model
from ..loaders import Data
from ..seeds import steady
from ..weights import fit_state, read_tensors
from .adversary import DISCRIMINATOR, Adversary
from .check import check_fit, check_images
from .compression import GanCompression
from .objective import Gan


def make_gan(train: TrainConfig, teacher: nn.Module | None, folder: Path | None, seed: int) -> Gan:
    """Build the discriminator, trained where the stage is not the first, and the objective.

    Args:
        train: a stage with `method: gan` or `gan_compression`.
        teacher: the generator that teaches, of `gan_compression`.
        folder: of the stage that teaches.
        seed: the recipe's, for fresh weights.

    Raises:
        UserError: there is no discriminator, no trained one, or no teacher.
    """
    module = build_discriminator(train.gan, seed)
    if train.stage != "dense":
        _load_trained(module, train.gan, folder)
    adversary = Adversary(module, train.gan)
    if train.method == "gan":
        return Gan(adversary, train.gan.reconstruction)
    if teacher is None:
        raise UserError("A stage with method gan_compression learns from a teacher, and there is none.",
                        where=f"training: {train.stage}", fix="Train the stage before it too.")
    return GanCompression(adversary, teacher, train.gan, train.gan_compression)


def build_discriminator(config: GanConfig, seed: int = 0) -> nn.Module:
    """What the recipe names, with fresh weights or those that it names.

    Raises:
        UserError: it names none, or it can't be built.
    """
    if config.discriminator is None:
        raise UserError("A generator is trained beside a discriminator, and the recipe names none.",
                        where="training: gan.discriminator",
                        fix="Name one, such as {factory: twofour.training.gan_models:tiny_discriminator}.")
    with steady(seed):
        return build_model(config.discriminator, "gan.discriminator")


def _load_trained(module: nn.Module, config: GanConfig, folder: Path | None) -> None:
    path = folder / DISCRIMINATOR if folder else None
    if path is not None and path.is_file():
        fit_state(module, read_tensors(path), str(path))
    elif config.discriminator is None or config.discriminator.weights is None:
        raise UserError("There is no trained discriminator to judge the compressed generator.",
                        where=str(path or "training: gan.discriminator"),
                        fix="Train a dense stage with method gan, or name gan.discriminator.weights.")


def try_generator(train: TrainConfig, generator: nn.Module, data: Data) -> None:
    """Generator, discriminator and the first batch fit each other.

    Args:
        train: a stage with `method: gan` or `gan_compression`.
        generator: as the recipe builds it.
        data: of the recipe.

    Raises:
        UserError: they don't.
    """
    check_images(data)
    index, inputs, targets = next(checked(data.train, "train"))
    check_fit(generator, build_discriminator(train.gan), inputs, targets, f"train loader, batch {index}")


__all__ = ["build_discriminator", "make_gan", "try_generator"]
