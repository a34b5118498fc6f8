import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.engines.config import OnnxRuntimeConfig, ShapeRange, TensorRTConfig
from twofour.engines.options import arguments, shapes_of, shown

RANGES = st.lists(st.tuples(*[st.integers(1, 99)] * 3).map(sorted), min_size=1, max_size=4).map(
    lambda axes: ShapeRange(**dict(zip(("min", "opt", "max"), map(list, zip(*axes, strict=True)), strict=True)))
)


@given(RANGES)
def test_a_range_of_shapes_is_read_as_it_is_shown(range_):
    assert shapes_of([f"x={shown(range_)}"]) == {"x": range_.model_dump()}


def test_one_shape_stands_for_all_three_and_a_name_may_hold_the_sign():
    assert shapes_of(["a=b=1x2"]) == {"a=b": {"min": [1, 2], "opt": [1, 2], "max": [1, 2]}}


@pytest.mark.parametrize("word", ["x", "=1x2", "x=1x2:3x4", "x=1xa", "x="])
def test_anything_else_is_refused(word):
    with pytest.raises(UserError, match="NAME=MIN:OPT:MAX"):
        shapes_of([word])


def test_only_what_differs_from_the_defaults_is_said():
    assert arguments(OnnxRuntimeConfig(threads=2)) == ["--threads", "2"]
    assert arguments(TensorRTConfig()) == []
    options = TensorRTConfig(rest="bf16", sparse=False, refit=True, max_batch=8, shapes={"x": _same(1, 2)})
    assert arguments(options) == ["--rest", "bf16", "--no-sparse", "--max-batch", "8", "--refit",
                                  "--shape", "x=1x2:1x2:1x2"]


def _same(*shape):
    return ShapeRange(min=list(shape), opt=list(shape), max=list(shape))
