import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.pipeline.report.scale import linear, logarithmic, ratios

finite = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-6)


@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_a_linear_axis_holds_every_value_and_few_ticks(values, zero):
    scale = linear(values, zero=zero)
    unseen = 1e-9 * (scale.high - scale.low + max(map(abs, values)))  # no eye and no float tells it from the end
    assert scale.low <= min(values) + unseen
    assert scale.high >= max(values) - unseen
    assert 2 <= len(scale.ticks) <= 5
    assert list(scale.ticks) == sorted(set(scale.ticks))
    assert not zero or scale.low <= 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_an_axis_of_shares_never_passes_one_hundred_percent(values):
    scale = linear(values, most=1.0)
    assert scale.high <= 1 + 1e-9
    assert scale.high >= max(values) - 1e-9


@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=20))
def test_a_logarithmic_axis_holds_every_positive_value(values):
    scale = logarithmic([0.0, -1.0, *values])
    assert scale.low <= min(values) * 1.001
    assert scale.high >= max(values) * 0.999
    assert len(scale.ticks) <= 5


@given(st.lists(st.floats(0.02, 5000), max_size=9))
def test_an_axis_of_ratios_always_shows_one(values):
    scale = ratios(values)
    assert 1 in scale.ticks
    assert all(scale.low <= value <= scale.high for value in values)
    assert len(scale.ticks) <= 5


def test_positions_are_percent_of_the_axis():
    assert linear([0, 10]).at(5) == pytest.approx(50)
    assert linear([0, 10]).at(-3) == 0
    assert linear([0, 10]).at(30) == 100
    assert logarithmic([1, 100]).at(10) == pytest.approx(50)


def test_axes_of_nothing_can_still_be_drawn():
    assert linear([]).low < linear([]).high
    assert logarithmic([]).low < logarithmic([]).high
    assert ratios([]).low < 1 < ratios([]).high
