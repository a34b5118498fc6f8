from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twofour.engines import statistics

times = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(1e-3, 1e3))


def test_figures_of_known_times():
    found = statistics.latency("int8", 4, np.arange(1.0, 101.0))
    assert (found.p50, found.min, found.mean, found.runs) == (50.5, 1, 50.5, 100)
    assert found.p90 == pytest.approx(90.1)
    assert found.p99 == pytest.approx(99.01)
    assert found.spread == pytest.approx(49.5 / 50.5)
    assert found.throughput == pytest.approx(4 * 100 / 5.05)


@given(times)
def test_percentiles_are_ordered_and_inside_the_data(values):
    found = statistics.latency("a", 1, values)
    order = [found.min, found.p50, found.p90, found.p95, found.p99, float(values.max())]
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(order))
    assert found.spread >= 0
    assert found.samples_ms == list(values)


@pytest.mark.parametrize(("factor", "expected"), [(2.0, "faster"), (0.5, "slower"), (1.0, "no difference")])
def test_a_difference_is_named_only_outside_the_noise(factor, expected):
    generator = np.random.default_rng(0)
    fast, slow = (list(generator.normal(10, 0.5, (60, 8))) for _ in range(2))
    found = statistics.ratio("int8", "fp32", 1, fast, [factor * times for times in slow])
    assert found.verdict == expected
    assert found.low <= found.speedup <= found.high
    assert found.speedup == pytest.approx(factor, rel=0.05)


def test_drift_that_hits_both_cancels():
    drift = np.linspace(1, 3, 60)
    rounds = [np.full(5, level) for level in drift]
    found = statistics.ratio("a", "b", 1, rounds, [1.5 * times for times in rounds])
    assert found.speedup == pytest.approx(1.5)


def _walks(correlation: float, count: int, trials: int):
    generator = np.random.default_rng(1)
    noise = generator.normal(0, 0.03, (trials, count))
    for step in range(1, count):
        noise[:, step] += correlation * noise[:, step - 1]
    return np.exp(noise)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_identical_arms_are_told_apart_in_less_than_one_trial_of_twenty(correlation):
    said = []
    for series in _walks(correlation, 80, 100):
        found = statistics.ratio("a", "b", 1, [np.ones(1)] * 80, [np.array([value]) for value in series])
        said.append(found.verdict == "no difference")
    assert np.mean(said) >= 0.95
