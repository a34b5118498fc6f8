"""How alike pictures are: structural similarity, signal to noise, distance of two sets in features. NumPy alone.

Sources: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE Transactions on Image Processing 13(4), 2004; Heusel et al., "GANs Trained by a Two Time-Scale Update
Rule Converge to a Local Nash Equilibrium", arXiv 1706.08500, for the distance, here in the features that the data
names, so that it is no FID.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UserError

Array = np.ndarray[Any, Any]
LIMIT_DB = 300.0
_SIGMA, _WINDOW = 1.5, 11
_K1, _K2 = 0.01, 0.03
_PIXELS = 2**22  # at once: bounds the memory, whatever the number of pictures


@dataclass(frozen=True)
class Features:
    """A hidden layer of one fixed network, relu(pixels @ weight + bias).

    Attributes:
        weight: float32 (pixels, F); pixels are those of one picture, flattened in C order.
        bias: float32 (F,).
    """

    weight: Array
    bias: Array

    def __call__(self, images: Array) -> Array:
        """Float32 (N, F) of pictures (N, ...).

        Raises:
            UserError: the pictures have another number of pixels.
        """
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        if flat.shape[1] != len(self.weight):
            raise UserError(f"The features are of pictures of {len(self.weight)} values, and these have "
                            f"{flat.shape[1]} (shape {tuple(np.shape(images)[1:])}).", where="data: features")
        found: Array = np.maximum(flat @ self.weight + self.bias, 0)
        return found


def frechet_distance(a: Array, b: Array) -> float:
    """Squared distance of two normal distributions with the means and covariances of two sets, in float64.

    |mean a - mean b|² + tr(A + B - 2 (√A B √A)^½); both roots by eigenvalues of symmetric matrices. It depends on the
    number of samples, so only distances of equally many are to be compared.

    Args:
        a: (N, F), finite.
        b: (M, F), finite.

    Returns:
        0 or more; 0 for equal sets.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    apart, one, other = first.mean(0) - second.mean(0), _covariance(first), _covariance(second)
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    mixed = root @ other @ root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh((mixed + mixed.T) / 2), 0)).sum()
    return max(0.0, float(apart @ apart + np.trace(one) + np.trace(other) - 2 * shared))


def _covariance(samples: Array) -> Array:
    centred = samples - samples.mean(0)
    found: Array = centred.T @ centred / max(len(samples) - 1, 1)
    return found


def ssim(a: Array, b: Array, data_range: float) -> Array:
    """Mean structural similarity of each pair of pictures, over channels and places.

    The window is the paper's, a Gaussian of standard deviation 1.5 over 11 by 11 pixels, wholly inside the picture; on
    a smaller picture it is the largest odd size that fits.

    Args:
        a: (N, H, W) or (N, C, H, W), any float dtype.
        b: of the same shape.
        data_range: difference of the largest and the least value that a pixel can have.

    Returns:
        Float64 (N,), -1 to 1; -1, the least, for a pair in which a pixel is NaN or infinite.

    Raises:
        UserError: the shapes differ or are none of pictures, or the range is not above 0.
    """
    if a.shape != b.shape or a.ndim not in (3, 4) or 0 in a.shape:
        raise UserError(f"These are no pairs of pictures: shapes {a.shape} and {b.shape}.",
                        fix="SSIM needs (N, H, W) or (N, channels, H, W) twice.")
    if not data_range > 0:
        raise UserError(f"The pictures' values span {data_range}, and SSIM needs a range above 0.")
    size = max(1, _PIXELS // int(np.prod(a.shape[1:])))
    parts = [_ssim(a[start : start + size], b[start : start + size], data_range) for start in range(0, len(a), size)]
    return np.concatenate(parts)


def _ssim(a: Array, b: Array, data_range: float) -> Array:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    least = [min(_WINDOW, size - (size + 1) % 2) for size in x.shape[-2:]]
    small, large = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    with np.errstate(all="ignore"):
        mean_x, mean_y = _blurred(x, least), _blurred(y, least)
        both, power = mean_x * mean_y, mean_x**2 + mean_y**2
        shared = _blurred(x * y, least) - both
        spread = _blurred(x**2 + y**2, least) - power
        alike = (2 * both + small) * (2 * shared + large) / ((power + small) * (spread + large))
        found = alike.reshape(len(x), -1).mean(1)
    return np.where(np.isfinite(found), found, -1.0)


def _blurred(images: Array, sizes: list[int]) -> Array:
    """The weighted means under the window, along the last two axes, one after the other."""
    for axis, size in zip((-2, -1), sizes, strict=True):
        weights = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * _SIGMA**2))
        weights /= weights.sum()
        places = images.shape[axis] - size + 1
        taken = (np.take(images, range(start, start + places), axis) * weight for start, weight in enumerate(weights))
        images = np.asarray(sum(taken))
    return images


def psnr_db(a: Array, b: Array, data_range: float) -> float | None:
    """Peak signal-to-noise ratio, 10 log10(range² / mean squared difference), over all pictures together.

    Returns:
        Decibels, within plus or minus 300; -300 where a difference is NaN or infinite; None where the two are equal.
    """
    if np.array_equal(a, b):
        return None
    with np.errstate(all="ignore"):
        noise = float(np.mean(np.square(np.asarray(a, np.float64) - np.asarray(b, np.float64))))
        if not np.isfinite(noise):
            return -LIMIT_DB
        return float(np.clip(20 * np.log10(data_range) - 10 * np.log10(noise), -LIMIT_DB, LIMIT_DB))


class Score:
    """Gathers pictures batch by batch and measures them: the one place where a task of pictures gets its figures.

    Args:
        metric: `ssim`, beside the target of the same number; or `feature_distance`, to any real pictures.
        data_range: of the pictures; see `ssim`.
        features: needed for `feature_distance`; with `ssim` the distance is measured too where they are given.
    """

    def __init__(self, metric: str, data_range: float, features: Features | None) -> None:
        if metric == "feature_distance" and features is None:
            raise UserError("The data names no features, and feature_distance is a distance in features.",
                            where="data: features", fix="Give `Loaders` features, or metric `ssim`.")
        self.metric, self.data_range, self.features = metric, data_range, features
        self._sums = {"ssim": 0.0, "loss": 0.0, "samples": 0.0}
        self._made: list[Array] = []
        self._real: list[Array] = []

    def see(self, answers: Array, targets: Array, where: str = "") -> None:
        """Take in one batch.

        Args:
            answers: (N, H, W) or (N, C, H, W), any float dtype.
            targets: of the same shape.
            where: what the batch is, for errors. Defaults to nothing.

        Raises:
            UserError: the shapes don't fit, or answers whose features are asked for hold NaN or infinity.
        """
        if answers.shape != targets.shape or answers.ndim not in (3, 4):
            raise UserError(f"The network answers with the shape {tuple(answers.shape)}, and the targets have "
                            f"{tuple(targets.shape)}.", where=where or None,
                            fix=f"{self.metric} needs a picture per sample, (channels, height, width), from both.")
        self._sums["samples"] += len(answers)
        if self.metric == "ssim":
            self._sums["ssim"] += float(ssim(answers, targets, self.data_range).sum())
            apart = np.abs(np.asarray(answers, np.float64) - np.asarray(targets, np.float64))
            self._sums["loss"] += float(apart.mean()) * len(answers)
        if self.features is not None and not np.all(np.isfinite(answers)):
            if self.metric != "ssim":
                raise UserError("The pictures hold NaN or infinity: there is no feature distance of them.",
                                where=where or None)
            self.features, self._made = None, []  # such a picture has an SSIM of -1, which says it
        if self.features is not None:
            self._made.append(self.features(answers))
            self._real.append(self.features(targets))

    def metrics(self) -> dict[str, float]:
        """The task's metric by its name, first; with `ssim` also `loss`, the mean absolute difference, and a distance.

        Raises:
            UserError: no pictures were seen.
        """
        count = self._sums["samples"]
        if not count:
            raise UserError("There are no pictures to measure.")
        found = {"ssim": self._sums["ssim"] / count, "loss": self._sums["loss"] / count}
        found = found if self.metric == "ssim" else {}
        if self._made:
            found["feature_distance"] = frechet_distance(np.concatenate(self._made), np.concatenate(self._real))
        return found


__all__ = ["LIMIT_DB", "Features", "Score", "frechet_distance", "psnr_db", "ssim"]
