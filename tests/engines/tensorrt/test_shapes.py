from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.bundle import Tensor
from twofour.common.errors import UserError
from twofour.engines.config import ShapeRange, TensorRTConfig
from twofour.engines.options import shapes_of
from twofour.engines.tensorrt.shapes import optimization_profile


def tensor(name, *shape):
    return Tensor(name=name, dtype="float32", shape=list(shape))


IMAGE = tensor("x", "batch", 3, 32, 32)
IDS, MASK = tensor("ids", "batch", "tokens"), tensor("mask", "batch", "tokens")


def profile(inputs, **options):
    return optimization_profile(inputs, TensorRTConfig(**options))


def sizes(low, middle, high):
    return ShapeRange(min=low, opt=middle, max=high)


def test_the_batch_is_the_first_dimension():
    found = profile([IMAGE], min_batch=2, opt_batch=4, max_batch=6)
    assert found == {"x": sizes([2, 3, 32, 32], [4, 3, 32, 32], [6, 3, 32, 32])}


def test_a_fixed_batch_stays_as_it_is():
    fixed = tensor("x", 1, 3)
    assert profile([fixed]) == {"x": sizes([1, 3], [1, 3], [1, 3])}
    assert profile([fixed], min_batch=1, opt_batch=1, max_batch=1) == profile([fixed])
    with pytest.raises(UserError, match=r"batches of 1 only.*not of 1 to 16, best at 8") as caught:
        profile([fixed], max_batch=16)
    assert "dynamic batch" in caught.value.fix


def test_an_input_without_dimensions():
    assert profile([tensor("scale"), IMAGE])["scale"] == sizes([], [], [])


def test_a_range_given_for_one_input_serves_all_with_dimensions_of_that_name():
    tokens = sizes([1, 8], [4, 64], [16, 128])
    assert profile([IDS, MASK], shapes={"ids": tokens}) == {"ids": tokens, "mask": tokens}


def test_ranges_of_one_name_must_agree():
    with pytest.raises(UserError, match="'tokens' is given as 8 to 128, best at 64 and, of the input 'mask', as 8\\."):
        profile([IDS, MASK], shapes={"ids": sizes([1, 8], [4, 64], [16, 128]), "mask": sizes([1, 8], [4, 8], [16, 8])})


def test_a_dynamic_dimension_without_range_names_the_option():
    with pytest.raises(UserError, match=r"Dimension 1 \('tokens'\) of the input 'ids' is dynamic") as caught:
        profile([IDS])
    word = caught.value.fix.removeprefix("Give one with --shape ").rstrip(".")
    assert profile([IDS], shapes=shapes_of([word]))["ids"].opt == [8, 128]


@pytest.mark.parametrize(("shapes", "words"), [
    ({"y": sizes([1], [1], [1])}, r"input 'y', which the model doesn't have.*x \(batch, 3, 32, 32\)"),
    ({"x": sizes([1, 3], [1, 3], [1, 3])}, "have 2 dimensions; it has 4"),
    ({"x": sizes([1, 3, 32, 32], [2, 3, 32, 48], [4, 3, 32, 64])}, "Dimension 3 of the input 'x' is 32 .* 32 to 64"),
])
def test_shapes_that_do_not_suit_the_model(shapes, words):
    with pytest.raises(UserError, match=words):
        profile([IMAGE], shapes=shapes)


@given(st.lists(st.one_of(st.integers(1, 9), st.sampled_from("abc")), max_size=4),
       st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_what_comes_out_fits_what_was_declared(shape, batches):
    low, middle, high = sorted(batches)
    if shape and isinstance(shape[0], int):
        low, middle, high = 1, 8, 64
    given_range = {"a": (1, 2, 3), "b": (4, 4, 4), "c": (low, middle, high)}
    ends = [[given_range[size][end] if isinstance(size, str) else size for size in shape] for end in range(3)]
    options = {"shapes": {"x": sizes(*ends)}} if any(isinstance(size, str) for size in shape) else {}
    found = profile([tensor("x", *shape)], min_batch=low, opt_batch=middle, max_batch=high, **options)["x"]
    assert [found.min, found.opt, found.max] == ends
