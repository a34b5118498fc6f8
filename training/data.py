"""Data sets that recipes can name: `digits`, `hard_digits`, and `image_folder` for the user's own pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..common.errors import UserError
from ..common.lazy import require
from .augment import jitter
from .clutter import Clutter
from .folder import image_folder
from .loaders import Loaders, TensorLoader
from .seeds import steady

_CALIBRATION, _VALIDATION = 240, 360
_SPLIT_SEED = 24


def digits(batch: int = 64, size: int = 16, seed: int = 0, augment: bool = True) -> Loaders:
    """Scikit-learn's 1797 handwritten digits: 1197 to train, 360 to validate, 240 to calibrate, stratified.

    Args:
        batch: samples per batch. Defaults to 64.
        size: height and width in pixels, 8 to 32, bilinear from the original 8. Defaults to 16.
        seed: of the split. Defaults to 0.
        augment: small random rotations, scalings and shifts in training. Defaults to True.

    Returns:
        Loaders of float32 (N, 1, size, size), zero mean and unit deviation over the training set, and int64 (N,).

    Raises:
        UserError: a size or batch that is not possible.
        MissingError: scikit-learn is missing.
    """
    if not 8 <= size <= 32 or batch < 1:
        raise UserError("digits needs a size from 8 to 32 and a batch of at least 1.", where="data.args")
    images, labels, train, val, calibration = split_digits(seed)
    images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    images = (images - images[train].mean()) / images[train].std()
    return Loaders(
        TensorLoader(images[train], labels[train], batch, shuffle=True, augment=jitter if augment else None),
        TensorLoader(images[val], labels[val], batch),
        TensorLoader(images[calibration], labels[calibration], batch),
    )


def hard_digits(batch: int = 64, size: int = 24, seed: int = 0, copies: int = 3) -> Loaders:
    """The same handwritten digits made hard by our own program: a synthetic variant, no data set of its own.

    Each digit is scaled, turned, elastically warped and placed somewhere on a larger canvas, among fragments of other
    digits of the same part of the split, under noise. Training samples are made anew in every epoch, from PyTorch's
    random state; those that validate and calibrate are made once, from `seed`.

    Args:
        batch: samples per batch. Defaults to 64.
        size: height and width of the canvas in pixels, 16 to 64. Defaults to 24.
        seed: of the split and of the samples made once. Defaults to 0.
        copies: canvases of each digit that validates. Defaults to 3, 1,080 samples.

    Returns:
        Loaders of float32 (N, 1, size, size), about zero mean and unit deviation, and int64 (N,).

    Raises:
        UserError: a size, batch or number of copies that is not possible.
        MissingError: scikit-learn is missing.
    """
    if not 16 <= size <= 64 or batch < 1 or copies < 1:
        raise UserError("hard_digits needs a size from 16 to 64, and a batch and copies of at least 1.",
                        where="data.args")
    images, labels, train, val, calibration = split_digits(seed)
    with steady(_SPLIT_SEED + seed):
        example = Clutter(images[train], size)(images[train])
        mean, deviation = example.mean(), example.std()
        val = val.repeat(copies)
        made = [(Clutter(images[part], size)(images[part]) - mean) / deviation for part in (val, calibration)]
    train_clutter = Clutter(images[train], size)
    return Loaders(
        TensorLoader(images[train], labels[train], batch, shuffle=True,
                     augment=lambda clean: (train_clutter(clean) - mean) / deviation),
        TensorLoader(made[0], labels[val], batch),
        TensorLoader(made[1], labels[calibration], batch),
    )


def split_digits(seed: int) -> tuple[torch.Tensor, ...]:
    """All digits, float32 (1797, 1, 8, 8) from 0 to 1, their labels, and which ones train, validate and calibrate."""
    purpose = "The data set 'digits'"
    source = require("sklearn.datasets", extra="train", purpose=purpose).load_digits()
    divide = require("sklearn.model_selection", extra="train", purpose=purpose).train_test_split
    labels = source.target
    rest, val = divide(range(len(labels)), test_size=_VALIDATION, stratify=labels, random_state=_SPLIT_SEED + seed)
    train, calibration = divide(rest, test_size=_CALIBRATION, stratify=labels[rest], random_state=_SPLIT_SEED + seed)
    images = torch.from_numpy(source.images).float()[:, None] / 16
    return images, torch.from_numpy(labels).long(), torch.tensor(train), torch.tensor(val), torch.tensor(calibration)


__all__ = ["digits", "hard_digits", "image_folder", "split_digits"]
