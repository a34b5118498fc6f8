"""What the bundle of a network that makes pictures keeps beside the rest: some to look at, and features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..common import bundle, files
from ..common.images import Features

Array = np.ndarray[Any, Any]
_CHANNELS = (1, 3)


def write_pictures(
    place: Path, inputs: Mapping[str, Array], targets: Array, pytorch: Array, dense: Array | None
) -> list[str]:
    """Write `pictures.npz`, the first samples of the reference; returns its name in a list.

    It holds `pytorch` (the answers of the fake-quant network), `targets`, `dense` where there is a dense network, and
    `input` where an input is a picture; each (samples, channels, height, width) or (samples, height, width).

    Args:
        place: folder to write in.
        inputs: the reference's, by name.
        targets: real pictures, of the same samples where they are paired.
        pytorch: the reference's answers.
        dense: those of the dense network to the same samples.
    """
    shown = {"input": _picture(inputs), "targets": targets, "dense": dense, "pytorch": pytorch}
    files.save_npz(place / bundle.PICTURES,
                   {name: value[: bundle.SHOWN] for name, value in shown.items() if value is not None})
    return [bundle.PICTURES]


def _picture(inputs: Mapping[str, Array]) -> Array | None:
    floats = (value for value in inputs.values() if value.dtype.kind == "f" and value.ndim == 4)
    return next((value for value in floats if value.shape[1] in _CHANNELS), None)


def write_features(place: Path, features: Features | None) -> list[str]:
    """Write `features.npz` (`weight` and `bias`) where there are features; returns its name in a list, or none."""
    if features is None:
        return []
    files.save_npz(place / bundle.FEATURES, {"weight": features.weight, "bias": features.bias})
    return [bundle.FEATURES]


__all__ = ["write_features", "write_pictures"]
