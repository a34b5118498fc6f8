from __future__ import annotations

from contextlib import contextmanager

import pytest

from twofour.engines.tensorrt import progress
from twofour.engines.tensorrt.progress import Phases


@pytest.fixture
def bars(monkeypatch):
    """The bars on show, by label: how far each is."""
    shown = {}

    @contextmanager
    def bar(label, total, still=False):
        shown[label] = 0

        def advance(steps):
            shown[label] += steps

        yield advance
        del shown[label]

    monkeypatch.setattr(progress.console, "progress", bar)
    return shown


def test_phases_are_nested(bars):
    phases = Phases()
    phases.start("outer", 2)
    phases.start("inner", 3)
    assert all(phases.step("inner", step) for step in range(3))
    assert bars == {"outer": 0, "inner": 3}
    phases.finish("inner")
    phases.step("outer", 0)
    assert bars == {"outer": 1}
    phases.finish("outer")
    assert bars == {}


def test_steps_that_were_left_out_and_steps_told_twice(bars):
    phases = Phases()
    phases.start("a", 10)
    phases.step("a", 4)
    assert bars == {"a": 5}
    phases.step("a", 4)
    phases.step("a", 1)
    assert bars == {"a": 5}


def test_a_phase_that_starts_again_starts_at_nothing(bars):
    phases = Phases()
    for _ in range(2):
        phases.start("a", 3)
        phases.step("a", 0)
    assert bars == {"a": 1}


def test_phases_that_nobody_started_or_finished(bars):
    phases = Phases()
    assert phases.step("unknown", 3)
    phases.finish("unknown")
    phases.start("left", 3)
    phases.close()
    assert bars == {}


def test_canceled(bars):
    phases = Phases()
    phases.start("a", 3)
    assert phases.step("a", 0)
    phases.cancel()
    assert not phases.step("a", 1)
    assert phases.canceled
    phases.start("b", 3)  # nobody may be left to take its bar away
    assert list(bars) == ["a"]
