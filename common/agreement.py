"""How alike two answers to the same inputs are: predicted classes, or pictures, and signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bundle import Agreement
from .errors import UserError
from .images import LIMIT_DB, psnr_db, ssim

Array = np.ndarray[Any, Any]


def agreement(
    reference: Mapping[str, Array], answer: Mapping[str, Array], data_range: float | None = None
) -> Agreement:
    """Compare the outputs of two networks.

    Args:
        reference: outputs by name, batch first; the first one holds the class scores or pictures, in any float dtype.
        answer: the same names and shapes; further outputs are ignored.
        data_range: of the pictures that the first output holds. Defaults to class scores.

    Returns:
        Predictions are those of the first output (every position counts where it holds more than one per sample), and
        so is the likeness of pictures. The signal-to-noise ratio is that of the worst output.

    Raises:
        UserError: an output is missing or has another shape, or there is nothing to compare.
    """
    if not reference:
        raise UserError("There are no outputs to compare.")
    for name, expected in reference.items():
        _check(name, expected, answer)
    scores, others = next((value, answer[name]) for name, value in reference.items())
    ratios = [snr_db(value, answer[name]) for name, value in reference.items()]
    unequal = [ratio for ratio in ratios if ratio is not None]
    found = Agreement(snr_db=min(unequal, default=None), samples=len(scores))
    if data_range is None:
        return found.model_copy(update={"predictions": float(np.mean(predictions(scores) == predictions(others)))})
    alike = {"ssim": float(ssim(scores, others, data_range).mean()), "psnr_db": psnr_db(scores, others, data_range)}
    return found.model_copy(update=alike)


def in_words(found: Agreement) -> str:
    """`99.61 % same prediction`, or of pictures `SSIM 0.983, PSNR 31.2 dB`."""
    if found.ssim is None:
        return "not compared" if found.predictions is None else f"{100 * found.predictions:.2f} % same prediction"
    ratio = "bit for bit" if found.psnr_db is None else f"PSNR {found.psnr_db:.1f} dB"
    return f"SSIM {found.ssim:.3f}, {ratio}"


def _check(name: str, expected: Array, answer: Mapping[str, Array]) -> None:
    if name not in answer:
        raise UserError(f"The output {name!r} is missing; there are: {', '.join(answer) or 'none'}.")
    if expected.shape != answer[name].shape:
        raise UserError(f"The output {name!r} has shape {answer[name].shape}; the reference has {expected.shape}.")
    if expected.size == 0 or expected.ndim == 0:
        raise UserError(f"The output {name!r} holds no sample.")


def predictions(scores: Array) -> Array:
    """Predicted class: the largest score along the class axis; the sign where there is one score per sample.

    Args:
        scores: (N, C), (N, T, C) with C last as transformers have it, or (N, C, H, W, ...).
    """
    if scores.ndim < 2 or scores.shape[_class_axis(scores)] == 1:
        return np.asarray(scores > 0)
    return np.asarray(np.argmax(scores, axis=_class_axis(scores)))


def _class_axis(scores: Array) -> int:
    return 2 if scores.ndim == 3 else 1


def snr_db(reference: Array, answer: Array) -> float | None:
    """Signal-to-noise ratio, 10 log10(sum of reference² / sum of differences²), computed in float64.

    Returns:
        Decibels, within plus or minus 300; -300 where `answer` holds NaN or infinity that `reference` doesn't; None
        where the two are equal (NaN at the same places counts as equal).
    """
    if np.array_equal(reference, answer, equal_nan=reference.dtype.kind in "fc" and answer.dtype.kind in "fc"):
        return None
    expected, actual = np.asarray(reference, np.float64), np.asarray(answer, np.float64)
    with np.errstate(all="ignore"):
        noise = float(np.sum(np.square(actual - expected)))
        signal = float(np.sum(np.square(expected)))
        if not np.isfinite(noise) or not np.isfinite(signal):
            return -LIMIT_DB
        return float(np.clip(10 * (np.log10(signal) - np.log10(noise)), -LIMIT_DB, LIMIT_DB))


__all__ = ["LIMIT_DB", "agreement", "in_words", "predictions", "snr_db"]
