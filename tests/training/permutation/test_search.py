import random as python_random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.training.permutation import search as module
from twofour.training.permutation.partitions import partitions
from twofour.training.permutation.search import kept_magnitude, row_bound, search

GOLDEN = [
    (1, (128, 64), 4083.168773, 3042.332263, 2852.377246, 2919.759140, 35.47),
    (3, (32, 32), 516.041006, 380.271715, 357.796954, 370.025236, 54.41),
    (5, (48, 40), 977.749956, 718.148891, 672.488055, 696.761648, 53.16),
]


def uniform(seed, shape):
    return np.random.RandomState(seed).rand(*shape)


@pytest.mark.parametrize(("seed", "shape", "total", "bound", "default", "kept", "efficacy"), GOLDEN)
def test_golden_numbers(seed, shape, total, bound, default, kept, efficacy):
    matrix = uniform(seed, shape)
    found = search(matrix, escapes=0)
    assert matrix.sum() == pytest.approx(total, abs=1e-6)
    assert found.bound == row_bound(matrix) == pytest.approx(bound, abs=1e-6)
    assert found.default == kept_magnitude(matrix) == pytest.approx(default, abs=1e-6)
    assert found.kept == pytest.approx(kept, abs=1e-6)
    assert found.efficacy == pytest.approx(efficacy, abs=0.005)


def layer_shapes():
    """Gaussian matrices of the shapes of layers, drawn one after the other; the last two have uneven columns."""
    random, drawn = np.random.RandomState(0), {}
    for name, shape in {"192": (192, 192), "fc1": (768, 192), "fc2": (192, 768), "384": (384, 384)}.items():
        drawn[name] = random.randn(*shape)
    for name, shape in {"uneven 192": (192, 192), "uneven fc1": (768, 192)}.items():
        drawn[name] = random.randn(*shape) * np.exp(0.5 * random.randn(shape[1]))
    return drawn


@pytest.mark.parametrize(("name", "default", "efficacy"), [
    ("192", 74.79, 29.35), ("uneven 192", 77.86, 39.86),
    *(pytest.param(*row, marks=pytest.mark.slow) for row in (
        ("fc1", 74.41, 16.67), ("fc2", 74.38, 35.45), ("384", 74.44, 24.10), ("uneven fc1", 78.26, 34.40))),
])
def test_golden_numbers_of_the_shapes_of_layers(name, default, efficacy):
    """Many rows over few columns gain little, uneven columns and few rows much."""
    matrix = layer_shapes()[name]
    found = search(matrix, escapes=0)
    assert 100 * found.default / np.abs(matrix).sum() == pytest.approx(default, abs=0.005)
    assert found.efficacy == pytest.approx(efficacy, abs=0.005)


def test_the_example_of_apex_is_surpassed_by_its_own_means():
    """The README of apex: 2919.759 with 100 escapes in a window of 8, 2921.947 in a window of 12."""
    assert search(uniform(1, (128, 64))).kept > 2921.947


@pytest.mark.slow
def test_the_window_of_twelve_keeps_more_than_that_of_eight():
    matrix = uniform(1, (128, 64))
    assert search(matrix, window=12, escapes=0).kept > 2921.947 > search(matrix, escapes=0).kept


@st.composite
def matrices(draw):
    rows, stripes = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    seed, scale = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([1e-4, 1.0, 1e4]))
    kind = draw(st.sampled_from([np.float64, np.float32, np.float16, np.int64]))
    values = np.random.default_rng(seed).standard_normal((rows, 4 * stripes)) * min(scale, 1e2)
    values[:, : draw(st.integers(0, 4 * stripes))] *= draw(st.sampled_from([0.0, 1.0, 5.0]))
    return values.astype(kind)


@settings(max_examples=40, deadline=None)
@given(matrices(), st.sampled_from([8, 12]), st.integers(0, 5))
def test_any_matrix(matrix, window, escapes):
    found = search(matrix, window=window, escapes=escapes)
    assert found.order.dtype == np.int64
    assert sorted(found.order) == list(range(matrix.shape[1]))
    assert found.kept == kept_magnitude(matrix[:, found.order])
    assert found.default == kept_magnitude(matrix)
    assert found.default <= found.kept <= found.bound * (1 + 1e-12)
    assert 0 <= found.efficacy <= 100 + 1e-6


@settings(max_examples=20, deadline=None)
@given(matrices(), st.integers(0, 2**32 - 1))
def test_escapes_never_make_it_worse_and_the_seed_decides(matrix, seed):
    found = search(matrix, escapes=6, seed=seed)
    assert found.kept >= search(matrix, escapes=0).kept
    assert np.array_equal(found.order, search(matrix, escapes=6, seed=seed).order)


@settings(max_examples=20, deadline=None)
@given(matrices(), st.randoms(use_true_random=False))
def test_the_order_within_stripes_and_of_stripes_does_not_matter(matrix, shuffle):
    stripes = np.arange(matrix.shape[1]).reshape(-1, 4)
    for stripe in stripes:
        shuffle.shuffle(stripe)
    assert kept_magnitude(matrix[:, stripes.reshape(-1)]) == pytest.approx(kept_magnitude(matrix), rel=1e-12)
    moved = np.array(shuffle.sample(stripes.tolist(), len(stripes))).reshape(-1)
    assert kept_magnitude(matrix[:, moved]) == pytest.approx(kept_magnitude(matrix), rel=1e-12)


@pytest.mark.parametrize("shape", [(128, 64), (32, 32)])
def test_signs_and_the_order_within_stripes_do_not_change_what_is_found(shape):
    matrix = uniform(1, shape)
    within = np.random.default_rng(0).permuted(np.arange(shape[1]).reshape(-1, 4), axis=1).reshape(-1)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], shape)
    kept = search(matrix, escapes=0).kept
    assert search(signs * matrix, escapes=0).kept == kept
    assert search(matrix[:, within], escapes=0).kept == pytest.approx(kept, abs=1e-9)


@pytest.mark.parametrize(("columns", "window"), [(8, 8), (8, 12), (12, 12)])
def test_a_window_over_all_columns_finds_the_best_there_is(columns, window):
    for seed in range(12 // columns + 1):
        matrix = np.random.default_rng(seed).standard_normal((4, columns))
        best = max(kept_magnitude(matrix[:, way.reshape(-1)]) for way in partitions(columns // 4))
        assert search(matrix, window=window).kept == pytest.approx(best, rel=1e-12)


def test_weights_in_float32_keep_as_much_as_in_float64():
    matrix = uniform(1, (300, 64)).astype(np.float32)
    single, double = search(matrix, escapes=0), search(matrix.astype(np.float64), escapes=0)
    assert single.efficacy == pytest.approx(double.efficacy, abs=0.5)


def test_small_weights_are_searched_like_large_ones():
    matrix = uniform(3, (32, 32))
    assert search(matrix * 2.0**-16).efficacy >= search(matrix, escapes=0).efficacy


def test_an_already_sparse_matrix_and_an_empty_one_stay_as_they_are():
    matrix = uniform(0, (16, 16))
    matrix.reshape(16, 4, 4)[:, :, 2:] *= 1e-4
    found = search(matrix)
    assert np.array_equal(found.order, np.arange(16))
    assert search(np.zeros((4, 8))).efficacy == 100
    for shape in ((0, 8), (3, 0), (3, 4)):
        assert np.array_equal(search(np.ones(shape)).order, np.arange(shape[1]))


def test_equal_columns_end_without_going_round_in_circles():
    column = np.random.default_rng(0).standard_normal((200, 1)).astype(np.float32)
    assert search(np.repeat(column, 64, axis=1), escapes=3).efficacy >= 0


def test_no_global_generator_is_touched():
    np.random.seed(5)
    python_random.seed(5)
    before, other = np.random.get_state()[1].copy(), python_random.getstate()
    search(uniform(3, (32, 32)), escapes=5)
    assert np.array_equal(np.random.get_state()[1], before)
    assert python_random.getstate() == other


def test_the_matrix_is_not_changed():
    matrix = -uniform(3, (32, 32))
    copy = matrix.copy()
    matrix.flags.writeable = False
    search(matrix, escapes=3)
    assert np.array_equal(matrix, copy)


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_without_time_it_is_no_worse_than_the_default(seconds):
    found = search(uniform(0, (512, 256)), seconds=seconds)
    assert sorted(found.order) == list(range(256))
    assert found.kept >= found.default
    assert found.seconds < 5


def test_a_wide_matrix_is_searched_in_parts(monkeypatch):
    matrix = uniform(2, (24, 72))
    monkeypatch.setattr(module, "WIDEST", 32)
    found = search(matrix, escapes=2)
    assert sorted(found.order) == list(range(72))
    assert all(set(found.order[start : start + 24]) == set(range(start, start + 24)) for start in (0, 24, 48))
    assert found.default < found.kept < found.bound
    assert np.array_equal(found.order, search(matrix, escapes=2).order)


def test_escapes_end_when_they_cost_too_much(monkeypatch):
    matrix = uniform(3, (32, 32))
    many = search(matrix, escapes=100)
    monkeypatch.setattr(module, "ESCAPE_WORK", 1)
    assert np.array_equal(search(matrix, escapes=100).order, search(matrix, escapes=1).order)
    assert search(matrix, escapes=100).kept < many.kept


def test_a_window_of_twelve_over_many_columns_is_joined_by_one_of_eight(monkeypatch):
    matrix = uniform(2, (16, 64))
    eight = search(matrix, escapes=0)
    monkeypatch.setattr(module, "WIDEST_TRIPLES", 32)
    assert search(matrix, window=12, escapes=0).kept >= eight.kept


@pytest.mark.parametrize(("matrix", "words"), [
    (np.ones((3, 6)), "multiple of 4"), (np.ones(8), "two dimensions"), (np.ones((2, 2, 4)), "two dimensions"),
    (np.full((3, 8), np.nan), "not finite"), (np.full((3, 8), np.inf), "not finite"),
    (np.ones((3, 8), complex), "real"),
])
def test_bad_matrices_are_refused_in_words(matrix, words):
    with pytest.raises(UserError, match=words):
        search(matrix)


def test_other_windows_are_refused():
    with pytest.raises(UserError, match="16"):
        search(np.ones((3, 16)), window=16)
