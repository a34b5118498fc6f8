from __future__ import annotations

import numpy as np
import pytest

from twofour.common.agreement import agreement, in_words, predictions, snr_db
from twofour.common.errors import UserError
from twofour.common.images import ssim


def test_equal_answers_have_no_ratio_and_agree() -> None:
    logits = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    found = agreement({"logits": logits}, {"logits": logits.copy()})
    assert (found.predictions, found.snr_db, found.samples) == (1.0, None, 7)


def test_snr_of_a_tenth_of_noise_is_twenty_decibel() -> None:
    signal = np.array([1.0, -1.0, 1.0, -1.0], np.float32)
    assert snr_db(signal, signal * np.float32(1.1)) == pytest.approx(20, abs=1e-4)


def test_a_changed_class_is_counted() -> None:
    reference = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    answer = reference.copy()
    answer[0] = [0, 1]
    assert agreement({"y": reference}, {"y": answer}).predictions == 0.75


def test_the_worst_output_sets_the_ratio() -> None:
    a, b = np.ones((2, 4)), np.ones((2, 4))
    found = agreement({"a": a, "b": b}, {"a": a * 1.001, "b": b * 1.1})
    assert found.snr_db == pytest.approx(20, abs=1e-6)


def test_infinity_nan_and_silence_give_a_finite_ratio() -> None:
    ones = np.ones((2, 2))
    assert snr_db(ones, np.array([[1, np.nan], [1, 1]])) == -300
    assert snr_db(ones, ones * np.inf) == -300
    assert snr_db(np.zeros(3), np.ones(3)) == -300
    assert snr_db(np.full(2, np.nan), np.full(2, np.nan)) is None


@pytest.mark.parametrize(
    ("shape", "predicted"), [((5, 3), (5,)), ((5, 7, 3), (5, 7)), ((5, 3, 2, 2), (5, 2, 2)), ((5,), (5,))]
)
def test_the_class_axis(shape: tuple[int, ...], predicted: tuple[int, ...]) -> None:
    assert predictions(np.zeros(shape)).shape == predicted


def test_one_score_is_judged_by_its_sign() -> None:
    assert predictions(np.array([[0.5], [-0.5]])).tolist() == [[True], [False]]


def test_a_missing_or_misshapen_output_is_named() -> None:
    with pytest.raises(UserError, match="'logits' is missing"):
        agreement({"logits": np.ones((1, 2))}, {"other": np.ones((1, 2))})
    with pytest.raises(UserError, match="'logits' has shape"):
        agreement({"logits": np.ones((1, 2))}, {"logits": np.ones((1, 3))})
    with pytest.raises(UserError, match="no outputs"):
        agreement({}, {})
    with pytest.raises(UserError, match="no sample"):
        agreement({"y": np.ones((0, 2))}, {"y": np.ones((0, 2))})


def test_pictures_are_alike_by_their_structure_and_have_no_class() -> None:
    a = np.random.default_rng(0).uniform(size=(3, 1, 12, 12))
    found = agreement({"y": a}, {"y": a + 0.1}, 1.0)
    assert (found.predictions, found.samples) == (None, 3)
    assert found.score == found.ssim == pytest.approx(ssim(a, a + 0.1, 1.0).mean())
    assert found.psnr_db == pytest.approx(20)
    assert in_words(found) == f"SSIM {found.ssim:.3f}, PSNR 20.0 dB"
    assert in_words(agreement({"y": a}, {"y": a}, 1.0)) == "SSIM 1.000, bit for bit"
    assert in_words(agreement({"y": a}, {"y": a})) == "100.00 % same prediction"
