"""Whether generator, discriminator and data fit each other, said before any training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ...common.errors import UserError
from ...common.metric import ACCURACY
from ..checks import answer
from ..judge import metric_of
from .adversary import judged


def check_images(data: Any) -> None:
    """The data is measured as pictures are.

    Raises:
        UserError: its metric is accuracy.
    """
    if metric_of(data) == ACCURACY:
        raise UserError(
            "A generator has no accuracy, and the data names no metric of pictures.", where="data.factory",
            fix="Return Loaders with metric='ssim' or metric='feature_distance'; the targets are pictures.",
        )


def pictures_for(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
    """What the generator makes of a batch, checked against the targets.

    Raises:
        UserError: the targets are no pictures, the model refuses the batch, or returns another shape.
    """
    if not targets.is_floating_point() or targets.ndim != 4:
        raise UserError(
            f"The targets are {targets.dtype} of shape {tuple(targets.shape)}, no pictures.", where=where,
            fix="A generator's targets are real pictures, float (samples, channels, height, width).",
        )
    made = answer(model, inputs, where)
    if made.shape != targets.shape:
        raise UserError(
            f"The generator returned the shape {tuple(made.shape)}, and the real pictures have {tuple(targets.shape)}.",
            where=where, fix="Make the model's arguments and the data's size fit.",
        )
    return made


@torch.no_grad()
def check_fit(
    generator: nn.Module, discriminator: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
) -> None:
    """Try both on two samples, in eval mode; their modes are put back.

    Args:
        generator: inputs to pictures.
        discriminator: pictures to logits.
        inputs: a batch.
        targets: its real pictures.
        where: loader and batch, for errors.

    Raises:
        UserError: as `pictures_for`; or the discriminator can't take the pictures, or doesn't return logits.
    """
    modes = generator.training, discriminator.training
    inputs, targets = inputs[:2].to(_device(generator)), targets[:2].to(_device(generator))
    try:
        made = pictures_for(generator.eval(), inputs, targets, where)
        logits = _tried(discriminator.eval(), inputs, made)
    finally:
        generator.train(modes[0])
        discriminator.train(modes[1])
    if not isinstance(logits, torch.Tensor) or logits.ndim < 2 or len(logits) != len(inputs):
        said = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UserError(f"The discriminator returned {said} for {len(inputs)} pictures, not (samples, 1).",
                        where="gan.discriminator", fix="It must return one logit per picture, or per patch of it.")


def _tried(discriminator: nn.Module, inputs: torch.Tensor, made: torch.Tensor) -> Any:
    try:
        return judged(discriminator.to(made.device), inputs, made)
    except Exception as error:
        shown = f"pictures of shape {tuple(made.shape)}"
        if getattr(discriminator, "conditional", False):
            shown = f"inputs of shape {tuple(inputs.shape)} with {shown}"
        raise UserError(
            f"The discriminator doesn't fit the generator: it can't take {shown} "
            f"({type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}).",
            where="gan.discriminator", fix="Correct its arguments, such as size, channels and conditional.",
        ) from error


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


__all__ = ["check_fit", "check_images", "pictures_for"]
