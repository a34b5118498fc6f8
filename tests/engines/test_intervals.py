from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twofour.engines import intervals

times = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(1e-3, 1e3))


@given(times)
def test_the_interval_holds_the_median_and_repeats_itself(values):
    low, high = intervals.interval(values)
    assert low <= np.median(values) * (1 + 1e-12)
    assert high >= np.median(values) * (1 - 1e-12)
    assert (low, high) == intervals.interval(values)


def _walks(correlation: float, count: int, trials: int):
    generator = np.random.default_rng(1)
    noise = generator.normal(0, 0.03, (trials, count))
    for step in range(1, count):
        noise[:, step] += correlation * noise[:, step - 1]
    return np.exp(noise)


def test_the_interval_holds_the_truth_although_neighbours_are_alike():
    ends = [intervals.interval(series) for series in _walks(0.8, 80, 100)]
    assert np.mean([low <= 1 <= high for low, high in ends]) >= 0.88


@pytest.mark.parametrize(("low", "high", "said"), [
    (1.01, 1.2, "faster"), (0.8, 0.99, "slower"), (1.0, 1.2, "no difference"), (0.9, 1.0, "no difference"),
])
def test_the_verdict_needs_the_whole_interval_on_one_side(low, high, said):
    assert intervals.verdict(low, high) == said


def test_numpy_is_all_it_needs():
    code = ("import sys, twofour.engines.intervals\n"
            "bad = {'pydantic', 'onnx', 'torch'} & set(sys.modules); assert not bad, bad")
    subprocess.run([sys.executable, "-c", code], check=True)
