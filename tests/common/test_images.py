"""Figures of pictures against those of other programs, and what must hold for any pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.common.images import Features, Score, frechet_distance, psnr_db, ssim

# scikit-image 0.26.0: structural_similarity(..., data_range=2, gaussian_weights=True, sigma=1.5,
# use_sample_covariance=False), mean over channels, and peak_signal_noise_ratio, of `pair`
GOLDEN = [
    (16, 1, 0.7117784098183011, 24.478380685402538),
    (24, 3, 0.7499543728405783, 24.03272112142141),
    (33, 1, 0.8059648027530119, 24.520856783661348),
]
SCIPY = 3.0284609811186938  # |mean|² + trace(A + B - 2 sqrtm(A B)), scipy 1.16 linalg.sqrtm, of `sets`


def pair(size, channels):
    y, x = np.mgrid[:size, :size] / size
    a = np.stack([np.sin(7 * x + k) * np.cos(5 * y * (k + 1)) for k in range(channels)])[None]
    return a, a * 0.8 + 0.1 * np.sin(29 * x * y) - 0.05


def sets():
    draw = np.random.default_rng(0)
    return draw.normal(size=(50, 6)), draw.normal(size=(40, 6)) * 1.5 + 0.3


@pytest.mark.parametrize(("size", "channels", "alike", "ratio"), GOLDEN)
def test_figures_are_those_of_scikit_image(size, channels, alike, ratio):
    a, b = pair(size, channels)
    assert ssim(a, b, 2.0) == pytest.approx(alike, abs=1e-12)
    assert psnr_db(a, b, 2.0) == pytest.approx(ratio, abs=1e-9)
    assert ssim(a[:, 0], b[:, 0], 2.0).shape == (1,)


def test_the_distance_is_that_of_the_matrix_square_root():
    assert frechet_distance(*sets()) == pytest.approx(SCIPY, abs=1e-9)


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_a_distance_has_no_direction_and_is_that_of_the_means_for_moved_sets(seed, count, width):
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(count, width)), draw.normal(size=(count + 3, width))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6, abs=1e-6)
    assert frechet_distance(a, a + 2.0) == pytest.approx(4.0 * width, rel=1e-6)


@given(st.integers(0, 2**31), st.integers(1, 14), st.floats(0.1, 100))
@settings(max_examples=30, deadline=None)
def test_similarity_is_one_of_the_same_and_has_no_direction_and_no_unit(seed, size, scale):
    draw = np.random.default_rng(seed)
    a, b = draw.uniform(size=(2, 3, 2, size, size + 2))
    assert ssim(a, a, 1.0) == pytest.approx(1.0)
    assert ssim(a, b, 1.0) == pytest.approx(ssim(b, a, 1.0))
    assert ssim(a * scale, b * scale, scale) == pytest.approx(ssim(a, b, 1.0))
    assert np.all(ssim(a, b, 1.0) < 1.0)


def test_pictures_are_taken_in_parts_without_a_difference(monkeypatch):
    from twofour.common import images

    a, b = (np.random.default_rng(0).uniform(size=(5, 1, 12, 12)) for _ in range(2))
    whole = ssim(a, b + 0.1 * a, 1.0)
    monkeypatch.setattr(images, "_PIXELS", 300)
    assert np.array_equal(ssim(a, b + 0.1 * a, 1.0), whole)


def test_what_is_not_finite_counts_as_least():
    a = np.random.default_rng(0).uniform(size=(2, 1, 12, 12))
    b = a.copy()
    b[1, 0, 3, 3] = np.nan
    assert ssim(a, b, 1.0).tolist() == [pytest.approx(1.0), -1.0]
    assert psnr_db(a, b, 1.0) == -300
    assert psnr_db(a, a, 1.0) is None


@pytest.mark.parametrize(("a", "b", "span"), [((2, 8, 8), (2, 8, 9), 1.0), ((2, 8), (2, 8), 1.0),
                                              ((2, 8, 8), (2, 8, 8), 0.0)])
def test_what_has_no_similarity_is_refused(a, b, span):
    with pytest.raises(UserError):
        ssim(np.zeros(a), np.ones(b), span)


def score(metric, features=None):
    return Score(metric, 1.0, features)


def test_a_score_is_that_of_the_whole_in_any_batches():
    draw = np.random.default_rng(0)
    made, real = draw.uniform(size=(2, 7, 1, 12, 12)).astype(np.float32)
    features = Features(draw.normal(size=(144, 5)).astype(np.float32), np.ones(5, np.float32))
    found = score("ssim", features)
    for rows in (slice(0, 3), slice(3, 7)):
        found.see(made[rows], real[rows])
    expected = {"ssim": ssim(made, real, 1.0).mean(), "loss": np.abs(made - real).mean(),
                "feature_distance": frechet_distance(features(made), features(real))}
    assert found.metrics() == pytest.approx(expected, rel=1e-6)
    assert next(iter(found.metrics())) == "ssim"
    unpaired = score("feature_distance", features)
    unpaired.see(made, real[::-1])
    assert unpaired.metrics() == pytest.approx({"feature_distance": expected["feature_distance"]}, rel=1e-6)


def test_a_score_says_what_does_not_fit():
    features = Features(np.ones((9, 2), np.float32), np.ones(2, np.float32))
    pictures = np.zeros((2, 1, 3, 3))
    with pytest.raises(UserError, match="no features"):
        score("feature_distance")
    with pytest.raises(UserError, match="of 9 values, and these have 16"):
        score("feature_distance", features).see(*[np.zeros((2, 1, 4, 4))] * 2)
    with pytest.raises(UserError, match="answers with the shape"):
        score("ssim").see(np.zeros((2, 10)), pictures)
    with pytest.raises(UserError, match="NaN or infinity"):
        score("feature_distance", features).see(pictures * np.nan, pictures)
    with_nan = score("ssim", features)
    with_nan.see(pictures, pictures)
    with_nan.see(pictures * np.nan, pictures)
    assert with_nan.metrics()["ssim"] == pytest.approx(0.0)
    assert "feature_distance" not in with_nan.metrics()
    with pytest.raises(UserError, match="no pictures"):
        score("ssim").metrics()
