"""Real inputs for the networks of the table: crops of scikit-learn's two photographs, or a generator's noise."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

MEAN, DEVIATION = 0.45, 0.25


def batch(shape: tuple[int, ...], count: int, seed: int) -> torch.Tensor:
    """`count` inputs, float32, always the same for a seed.

    Args:
        shape: (3, H, W) for crops of photographs at several scales; anything else is Gaussian noise.
        count: how many.
        seed: of the places, or of the noise.
    """
    random = np.random.default_rng(seed)
    if shape[0] != 3:
        return torch.from_numpy(random.standard_normal((count, *shape), np.float32))
    return torch.from_numpy(np.stack([_crop(random, *shape[1:]) for _ in range(count)]))


def _crop(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    picture = _photographs()[random.integers(2)]
    most = min(picture.shape[0] // height, picture.shape[1] // width)
    step = int(random.integers(1, most + 1))
    top, left = (int(random.integers(0, side - step * size + 1))
                 for side, size in zip(picture.shape, (height, width), strict=False))
    crop = picture[top : top + step * height : step, left : left + step * width : step]
    return ((crop / 255 - MEAN) / DEVIATION).astype(np.float32).transpose(2, 0, 1)


@cache
def _photographs() -> list[np.ndarray]:
    from sklearn.datasets import load_sample_images

    return list(load_sample_images().images)


__all__ = ["batch"]
