import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.pipeline.report import words


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (1.23456, "1.23"), (98.61, "98.6"), (1402331, "1.40e+06"), (12345, "12,345"), (-0.5, "\u22120.500"),
     (math.nan, "not finite"), (1e-9, "1.00e\u221209")],
)
def test_numbers_keep_three_digits(value, said):
    assert words.number(value) == said


@pytest.mark.parametrize(("value", "said"), [(0.01, "0.01"), (0.995, "0.995"), (20, "20"), (1500, "1,500"), (0, "0")])
def test_limits_have_no_trailing_zeros(value, said):
    assert words.plain(value) == said


@given(st.floats(1e-4, 9e5))
def test_a_number_is_said_within_half_a_percent(value):
    assert float(words.number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_every_figure_carries_its_unit():
    assert plain(words.percent(0.98614)) == "98.61 %"
    assert plain(words.percent(1.0)) == "100 %"
    assert plain(words.points(-0.0028)) == "\u22120.28 points"
    assert plain(words.points(0.0)) == "\u00b10.00 points"
    assert plain(words.milliseconds(0.6543)) == "0.654 ms"
    assert plain(words.milliseconds(0.0123)) == "12.3 \u00b5s"
    assert plain(words.duration(41.23)) == "41.2 s"
    assert plain(words.duration(123)) == "2 min 03 s"
    assert plain(words.duration(7380)) == "2 h 03 min"
    assert plain(words.size(371_204)) == "371 kB"
    assert plain(words.size(12)) == "12 bytes"
    assert words.times(1.957) == "1.96\u00d7"
    assert words.times(0.9996) == "1.00\u00d7"
    assert plain(words.decibels(-3.21)) == "\u22123.2 dB"
    assert words.decibels(None) == "exact"
    assert plain(words.count(1, "layer")) == "1 layer"
    assert plain(words.count(1204, "layer")) == "1,204 layers"
    assert words.moment("2026-11-23T21:04:11+00:00") == "2026-11-23 21:04:11 UTC"
