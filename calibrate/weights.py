"""Ranges of the weights: the largest magnitude of each output channel, or of the whole tensor."""

from __future__ import annotations

import torch
from torch import nn

from ..common.bundle import Range
from ..common.errors import UserError
from .modelopt import MaxCalibrator
from .quantizers import weights
from .safe import FLOOR, SAFE


@torch.no_grad()
def calibrate_weights(model: nn.Module) -> dict[str, Range]:
    """Give every weight quantizer of `model` its range.

    A channel without weights above the floor takes the range of the largest channel, and 1.0 where there is none: its
    codes are zeros in any range.

    Returns:
        The ranges by the quantizers' names.

    Raises:
        UserError: a weight holds NaN or infinity; the layer is named.
    """
    found = {}
    for name, (quantizer, layer) in weights(model).items():
        weight = getattr(layer, "_parameters")["weight"]  # noqa: B009 - the attribute `weight` is quantized when read
        if not bool(torch.isfinite(weight).all()):
            raise UserError("The weight holds NaN or infinity.", where=name.rpartition(".")[0], fix="Train it again.")
        calibrator = MaxCalibrator(num_bits=8, axis=quantizer.axis, unsigned=False)
        calibrator.collect(weight)
        amax = _alive(calibrator.compute_amax())
        quantizer.amax = amax
        values = float(amax) if quantizer.axis is None else [float(value) for value in amax.flatten()]
        found[name] = Range(tensor=name, method="max", amax=values, axis=quantizer.axis, bits=quantizer.num_bits)
    return found


def _alive(amax: torch.Tensor) -> torch.Tensor:
    largest = float(amax.max())
    return torch.where(amax > FLOOR, amax, torch.full_like(amax, largest if largest > FLOOR else SAFE))


__all__ = ["calibrate_weights"]
