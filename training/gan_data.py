"""Data sets for generators that recipes can name, made of the real handwritten digits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F

from ..common.errors import UserError
from ..common.images import Features
from ..common.lazy import require
from .augment import jitter
from .data import split_digits
from .loaders import Batch, Loaders, MadeLoader, TensorLoader
from .seeds import steady

_FEATURES, _FEATURE_SEED, _NOISE_SEED = 64, 24, 24
_AROUND, _DEGREES, _MOVE = 2, 8.0, 0.06
_EDGE = 0.7  # of the Sobel magnitude, for pixels from 0 to 1: about half of a full step


def digits_from_noise(
    batch: int = 64, size: int = 16, noise: int = 32, seed: int = 0, augment: bool = False
) -> Loaders:
    """Noise to make digits of: normal values, and real digits that what is made of them should be like.

    In training the noise is drawn anew in each pass; what validates and calibrates is drawn once, from `seed`. The
    metric is the distance to the real digits in the features of one fixed small classifier; it is no FID.

    Args:
        batch: samples per batch. Defaults to 64.
        size: height and width of the pictures in pixels, 8 to 32, a multiple of 4. Defaults to 16.
        noise: values per sample. Defaults to 32.
        seed: of the split and of the noise drawn once. Defaults to 0.
        augment: small random rotations, scalings and shifts of the real digits in training, which then are what is
            learned. Defaults to False.

    Returns:
        Loaders of float32 (N, noise) and float32 (N, 1, size, size) in [-1, 1].

    Raises:
        UserError: a number that is not possible.
        MissingError: scikit-learn is missing.
    """
    _check("digits_from_noise", batch, size, noise)
    train, val, calibration = _pictures(size, seed)
    with steady(_NOISE_SEED + seed):
        fixed = [torch.randn(len(pictures), noise) for pictures in (val, calibration)]
    return Loaders(
        _made(train, batch, lambda pictures: torch.randn(len(pictures), noise), augment),
        TensorLoader(fixed[0], val, batch),
        TensorLoader(fixed[1], calibration, batch),
        metric="feature_distance", features=_features(size, seed), span=(-1.0, 1.0),
    )


def edges_to_digits(batch: int = 64, size: int = 16, seed: int = 0, augment: bool = True) -> Loaders:
    """Edges of the real digits, found by our own code, and the digits that they belong to; the metric is SSIM.

    Args:
        batch: samples per batch. Defaults to 64.
        size: height and width of the pictures in pixels, 8 to 32, a multiple of 4. Defaults to 16.
        seed: of the split. Defaults to 0.
        augment: small random rotations, scalings and shifts in training, of the digit before its edges are found.
            Defaults to True.

    Returns:
        Loaders of float32 (N, 1, size, size) twice, in [-1, 1]; an edge is 1 and all else -1.

    Raises:
        UserError: a number that is not possible.
        MissingError: scikit-learn is missing.
    """
    _check("edges_to_digits", batch, size)
    train, val, calibration = _pictures(size, seed)
    return Loaders(
        _made(train, batch, edges, augment),
        TensorLoader(edges(val), val, batch),
        TensorLoader(edges(calibration), calibration, batch),
        metric="ssim", features=_features(size, seed), span=(-1.0, 1.0),
    )


def edges(pictures: torch.Tensor) -> torch.Tensor:
    """Where the magnitude of Sobel's gradient is large.

    Args:
        pictures: float32 (N, 1, H, W) in [-1, 1].

    Returns:
        Of the same shape: 1 at an edge and -1 elsewhere.
    """
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 2  # a step from -1 to 1 is 4
    kernels = torch.stack([across, across.T])[:, None]
    steep = F.conv2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), kernels).square().sum(1, keepdim=True).sqrt()
    return (steep > 2 * _EDGE).to(pictures.dtype) * 2 - 1


def _made(
    pictures: torch.Tensor, batch: int, inputs: Callable[[torch.Tensor], torch.Tensor], augment: bool
) -> MadeLoader:
    """Pictures as targets, changed anew in each pass if wanted, and the inputs that are made for them."""
    def make(some: torch.Tensor, _targets: torch.Tensor) -> Batch:
        some = _jitter(some) if augment else some
        return inputs(some), some

    return MadeLoader(pictures, pictures, batch, make)


def _jitter(pictures: torch.Tensor) -> torch.Tensor:
    """Small random affine maps; what comes in from outside is background."""
    around = [_AROUND] * 4
    moved = jitter(F.pad(pictures, around, value=-1.0), _DEGREES, _MOVE, _MOVE)
    return moved[..., _AROUND:-_AROUND, _AROUND:-_AROUND].contiguous()


def _check(name: str, batch: int, size: int, noise: int = 1) -> None:
    if not 8 <= size <= 32 or size % 4 or batch < 1 or noise < 1:
        raise UserError(f"{name} needs a size from 8 to 32 that is a multiple of 4, a batch of at least 1, and at "
                        "least 1 value of noise.", where="data.args")


def _pictures(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images, _, train, val, calibration = split_digits(seed)
    images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False) * 2 - 1
    return images[train], images[val], images[calibration]


@cache
def _features(size: int, seed: int) -> Features:
    """The hidden layer of a small classifier of the real training digits, always the same one."""
    classifier = require("sklearn.neural_network", extra="train", purpose="The data set").MLPClassifier
    labels, train = split_digits(seed)[1:3]
    pictures = _pictures(size, seed)[0].flatten(1).numpy()
    network = classifier((_FEATURES,), random_state=_FEATURE_SEED, max_iter=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops after 60 passes, whether or not it could still gain
        network.fit(pictures, labels[train].numpy())
    return Features(network.coefs_[0].astype("float32"), network.intercepts_[0].astype("float32"))


__all__ = ["MadeLoader", "digits_from_noise", "edges", "edges_to_digits"]
