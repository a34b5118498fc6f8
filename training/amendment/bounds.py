"""The range that inputs can have, which an attack keeps to; whoever makes the data declares it."""

from __future__ import annotations

from typing import Any

import torch

from ...common.errors import UserError
from ..loaders import Bounds

_FIX = (
    "Give the object that the factory returns an attribute `bounds`: the least and the largest value that an input can "
    "have, as the loaders give it; two floats, or two tensors that broadcast to a sample. For pictures of 0 to 1 that "
    "were normalised: ((0 - mean) / std, (1 - mean) / std)."
)


def declared(data: Any) -> Bounds:
    """The `bounds` of a recipe's data, as two float32 tensors.

    Raises:
        UserError: there are none, or they are no range.
    """
    found = getattr(data, "bounds", None)
    if found is None:
        raise UserError("The data doesn't declare the range of its inputs, and adversarial samples have to stay in it.",
                        where="data", fix=_FIX)
    try:
        low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in found)
        ordered = bool((torch.isfinite(low) & torch.isfinite(high) & (low < high)).all())
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError("The data's `bounds` are not two numbers, or two tensors of one shape.", where="data",
                        fix=_FIX) from error
    if not ordered:
        raise UserError("The data's `bounds` are no range: the least value must lie below the largest, both finite.",
                        where="data", fix=_FIX)
    return low, high


def check_inputs(inputs: torch.Tensor, bounds: Bounds, where: str) -> None:
    """Inputs can be moved within these bounds.

    Args:
        inputs: (N, ...).
        bounds: as `declared` gives them.
        where: loader and batch, for errors.

    Raises:
        UserError: they are not float, or the bounds don't broadcast to a sample.
    """
    if not inputs.is_floating_point():
        raise UserError(f"The inputs are {inputs.dtype}; adversarial samples are made by small steps, so they must be "
                        "float.", where=where, fix="Let the loader give floats, or take the method supervised.")
    sample = inputs.shape[1:]
    for bound in map(torch.as_tensor, bounds):
        if not _broadcasts(bound.shape, sample):
            raise UserError(f"The data's `bounds` have the shape {tuple(bound.shape)}, which doesn't broadcast to a "
                            f"sample of {tuple(sample)}.", where=where, fix=_FIX)


def _broadcasts(shape: torch.Size, sample: torch.Size) -> bool:
    try:
        torch.empty(shape).expand(sample)
    except RuntimeError:
        return False
    return True


__all__ = ["check_inputs", "declared"]
