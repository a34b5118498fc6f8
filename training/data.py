"""Data sets that recipes can name: `digits` in three variants, and `image_folder` for the user's own pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..common.errors import UserError
from ..common.lazy import require
from .augment import jitter
from .clutter import Clutter
from .digit_masks import Masks
from .folder import image_folder
from .loaders import Loaders, MadeLoader, TensorLoader
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
    mean, deviation = images[train].mean(), images[train].std()
    images = (images - mean) / deviation
    return Loaders(
        TensorLoader(images[train], labels[train], batch, shuffle=True, augment=jitter if augment else None),
        TensorLoader(images[val], labels[val], batch),
        TensorLoader(images[calibration], labels[calibration], batch),
        bounds=(-mean / deviation, (1 - mean) / deviation),
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
        bounds=(-mean / deviation, (1 - mean) / deviation),  # of clean pictures; the noise goes beyond
    )


def digit_masks(batch: int = 64, size: int = 16, seed: int = 0, copies: int = 1, by_digit: bool = False) -> Loaders:
    """Canvases as `hard_digits` makes them, with a class for each pixel: where on the canvas is the whole digit?

    The pictures are real digits, put among fragments of others by our own seeded program, which so knows the mask: the
    pixels that hold at least a quarter of the digit's full ink.

    Args:
        batch: samples per batch. Defaults to 64.
        size: height and width of the canvas in pixels, 16 to 64. Defaults to 16.
        seed: of the split and of the samples made once. Defaults to 0.
        copies: canvases of each digit that validates. Defaults to 1, 360 samples.
        by_digit: pixels of a digit have its number + 1 as class, of 11 classes. Defaults to class 1 of 2.

    Returns:
        Loaders of float32 (N, 1, size, size), about zero mean and unit deviation, and int64 (N, size, size), 0 being
        the background.

    Raises:
        UserError: a size, batch or number of copies that is not possible.
        MissingError: scikit-learn is missing.
    """
    if not 16 <= size <= 64 or batch < 1 or copies < 1:
        raise UserError("digit_masks needs a size from 16 to 64, and a batch and copies of at least 1.",
                        where="data.args")
    images, labels, train, val, calibration = split_digits(seed)
    kinds = labels + 1 if by_digit else torch.ones_like(labels)
    with steady(_SPLIT_SEED + seed):
        example = Clutter(images[train], size)(images[train])
        mean, deviation = example.mean(), example.std()
        val = val.repeat(copies)
        made = [Masks(Clutter(images[part], size), mean, deviation)(images[part], kinds[part])
                for part in (val, calibration)]
    return Loaders(
        MadeLoader(images[train], kinds[train], batch, Masks(Clutter(images[train], size), mean, deviation)),
        TensorLoader(*made[0], batch),
        TensorLoader(*made[1], batch),
        bounds=(-mean / deviation, (1 - mean) / deviation),  # of clean pictures; the noise goes beyond
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


__all__ = ["digit_masks", "digits", "hard_digits", "image_folder", "split_digits"]
