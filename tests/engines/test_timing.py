from __future__ import annotations

import gc
import time

import numpy as np
import pytest

from twofour.engines.timing import interleaved


def busy(seconds):
    def call():
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    return call


def measure(calls, **asked):
    told = []
    asked = {"seconds": 0.05, "runs": 20, "warmup": 0.0} | asked
    return interleaved(calls, **asked, on_progress=told.append), told


def test_enough_time_and_enough_runs_of_every_call():
    rounds, told = measure({"fast": busy(1e-4), "slow": busy(2e-3)})
    for times in rounds.values():
        assert sum(len(part) for part in times) >= 20
        assert sum(part.sum() for part in times) >= 50
    assert len(rounds["fast"]) == len(rounds["slow"]) >= 6
    assert told == sorted(told)
    assert told[-1] == 1


def test_times_are_those_of_the_call_in_milliseconds():
    rounds, _ = measure({"a": busy(1e-3)})
    assert np.concatenate(rounds["a"]).min() == pytest.approx(1, rel=0.05)


def test_the_order_of_the_calls_turns_round_and_the_start_of_a_turn_is_not_counted():
    seen: list[str] = []

    def say(name):
        def call():
            seen.append(name)
            time.sleep(2e-4)

        return call

    rounds, _ = measure({"a": say("a"), "b": say("b")}, seconds=0.02)
    turns = [name for index, name in enumerate(seen) if index == 0 or seen[index - 1] != name]
    assert len(turns) <= len(rounds["a"]) + 3  # the warm-up's two, then a | b b | a a | ...: one change a round
    counted = sum(len(part) for times in rounds.values() for part in times)
    assert len(seen) >= counted + 2 * len(rounds["a"]) + 2


def test_slow_calls_still_make_rounds_enough_for_an_interval():
    rounds, _ = measure({"a": busy(2e-3), "b": busy(2e-3)}, runs=50)
    assert len(rounds["a"]) >= 12


def test_the_garbage_collector_rests_and_comes_back():
    seen = []
    measure({"a": lambda: seen.append(gc.isenabled()) or time.sleep(1e-3)})
    assert not any(seen[1:])
    assert gc.isenabled()
    with pytest.raises(RuntimeError):
        measure({"a": fail_later()})
    assert gc.isenabled()


def fail_later():
    count = iter(range(5))

    def call():
        if next(count) == 4:
            raise RuntimeError

    return call
