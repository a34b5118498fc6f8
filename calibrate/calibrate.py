"""Ranges for every quantizer of a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ..common.bundle import Range
from .activations import calibrate_activations
from .config import CalibrateConfig
from .quantizers import enabled
from .weights import calibrate_weights


def calibrate(model: nn.Module, loader: Iterable[Any], config: CalibrateConfig) -> list[Range]:
    """Choose and install the range of every quantizer.

    Weights take the largest magnitude per output channel; activations take `config.method`.

    Args:
        model: with quantizers inserted and no ranges yet; changed in place, its mode (training or not) is kept.
        loader: the calibration loader of (inputs, targets).
        config: method, number of batches, percentile.

    Returns:
        One range per quantizer, in the order of the network.

    Raises:
        UserError: the loader is empty, a batch holds NaN or infinity or has a wrong shape (named), or a weight is not
            finite.
    """
    found = calibrate_activations(model, loader, config) | calibrate_weights(model)
    return [found[name] for name in enabled(model)]


__all__ = ["calibrate"]
