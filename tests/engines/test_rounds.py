from __future__ import annotations

import gc

import pytest

from twofour.engines.rounds import alternate, no_garbage_collection, per_round


class Lane:
    def __init__(self, name, needs, seen):
        self.name, self.needs, self.seen, self.count = name, needs, seen, 0

    def round(self):
        self.seen.append(self.name)
        self.count += 1

    def done(self):
        return self.count / self.needs


def test_all_run_until_the_last_has_enough_and_the_order_turns_round():
    seen, told = [], []
    alternate([Lane("a", 3, seen), Lane("b", 1, seen)], told.append)
    assert "".join(seen) == "abbaab"
    assert told == [0, 1 / 3, 2 / 3, 1]


@pytest.mark.parametrize(("each", "seconds", "runs", "expected"), [
    (1e-6, 1.0, 1, 10_000),  # a hundredth of the time
    (1e-6, 0.1, 1, 5_000),  # never below 5 ms
    (0.5, 3.0, 10, 1),  # slow: as many rounds as there are runs
    (0.01, 1.0, 100, 4),  # at least four
])
def test_how_many_make_a_round(each, seconds, runs, expected):
    assert per_round(each, seconds, runs) == expected


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with no_garbage_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
