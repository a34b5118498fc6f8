from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from twofour.common.errors import MissingError, UserError
from twofour.engines.answers import BATCH, Sizes, answers, full_rows, in_batches, sizes_of


class Echo:
    """Answers with its inputs, and takes batches of a range only."""

    def __init__(self, low=1, high=64):
        self.low, self.high, self.seen = low, high, []

    def infer(self, inputs):
        size = len(inputs["x"])
        assert self.low <= size <= self.high
        self.seen.append(size)
        return {"y": inputs["x"].copy()}

    def close(self):
        pass


@given(count=some.integers(1, 40), low=some.integers(1, 6), more=some.integers(0, 9))
def test_every_sample_is_answered_once_in_batches_that_the_engine_takes(count, low, more):
    x = np.arange(count)
    steps = []
    found = answers(Echo(low, low + more), {"x": x}, low + more, low, steps.append)
    np.testing.assert_array_equal(found["y"], x)
    assert sum(steps) == count


@given(count=some.integers(1, 40), size=some.integers(1, 40))
def test_full_batches_hold_every_sample_and_nothing_is_left_over(count, size):
    rows = full_rows(count, size)
    assert len(rows) % size == 0
    assert 0 <= len(rows) - count < size
    assert set(rows.tolist()) == set(range(count))


def test_the_sizes_are_those_that_the_runner_names():
    ranged, fixed, free = Echo(), Echo(), Echo()
    ranged.batches = (1, 8, 32)
    fixed.batches, fixed.max_batch = None, 4
    assert sizes_of(ranged) == Sizes(1, 8, 32, ranged=True)
    assert sizes_of(ranged).shown == [1, 8, 32]
    assert sizes_of(fixed) == Sizes(4, 4, 4, ranged=False)
    assert sizes_of(free) == Sizes(1, BATCH, BATCH, ranged=False)
    assert sizes_of(fixed).shown == sizes_of(free).shown == []


def test_what_the_machine_lacks_stays_that_and_what_the_engine_refuses_is_the_users():
    class Fails(Echo):
        def __init__(self, error):
            super().__init__()
            self.error = error

        def infer(self, inputs):
            raise self.error

    with pytest.raises(MissingError, match="no memory"):
        list(in_batches(Fails(MissingError("no memory")), {"x": np.zeros(3)}, 2, 1, lambda steps: None))
    with pytest.raises(UserError, match="samples from number 0 on: wrong shape"):
        list(in_batches(Fails(UserError("wrong shape")), {"x": np.zeros(3)}, 2, 1, lambda steps: None))
    with pytest.raises(UserError, match=r"hold \[2, 3\] samples"):
        list(in_batches(Echo(), {"x": np.zeros(3), "z": np.zeros(2)}, 2, 1, lambda steps: None))
