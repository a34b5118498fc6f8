"""How alike pictures are: structural similarity, and a distance of two sets of pictures in a classifier's features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_WINDOW = 7


@dataclass(frozen=True)
class Features:
    """A hidden layer of one fixed classifier, relu(pixels @ weight + bias).

    Attributes:
        weight: float32 (pixels, F).
        bias: float32 (F,).
    """

    weight: Array
    bias: Array

    def __call__(self, images: Array) -> Array:
        """Float32 (N, F) of pictures (N, ...)."""
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        made: Array = np.maximum(flat @ self.weight + self.bias, 0)
        return made


def frechet_distance(first: Array, second: Array) -> float:
    """Of two normal distributions with the means and covariances of the features (N, F) and (M, F)."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    apart = a.mean(0) - b.mean(0)
    root = _root(np.cov(a, rowvar=False))
    mixed = np.linalg.eigvalsh(root @ np.cov(b, rowvar=False) @ root)
    spread = np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False))
    return float(apart @ apart + spread - 2 * np.sqrt(np.maximum(mixed, 0)).sum())


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def ssim(first: Array, second: Array, data_range: float) -> Array:
    """Mean structural similarity of each pair of pictures (N, C, H, W), float64 (N,), in windows of 7 by 7."""
    a, b = _windows(first), _windows(second)
    mean_a, mean_b = a.mean((-2, -1)), b.mean((-2, -1))
    both = (a * b).mean((-2, -1)) - mean_a * mean_b
    small, large = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    alike = (2 * mean_a * mean_b + small) * (2 * both + large)
    alike /= (mean_a**2 + mean_b**2 + small) * (a.var((-2, -1)) + b.var((-2, -1)) + large)
    each: Array = alike.mean((1, 2, 3))
    return each


def _windows(images: Array) -> Array:
    return np.lib.stride_tricks.sliding_window_view(np.asarray(images, np.float64), (_WINDOW, _WINDOW), (2, 3))


__all__ = ["Features", "frechet_distance", "ssim"]
