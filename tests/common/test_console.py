import io
import sys
import threading

import pytest

from twofour.common import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("still", [True, False])
def test_a_still_bar_runs_no_thread_and_is_drawn_when_it_advances(monkeypatch, still):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    console.configure(quiet=False)
    before = set(threading.enumerate())
    with console.progress("profile", 8, still=still) as advance:
        assert (set(threading.enumerate()) == before) is still
        advance(3)
        assert ("3/8" in terminal.getvalue()) or not still


def test_a_bar_within_a_bar_shares_the_terminal_and_goes(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)  # here, as pytest puts its own back after the fixtures
    monkeypatch.setenv("TERM", "xterm")
    console.configure(quiet=False)
    with console.progress("outer", 4, still=True) as outer:
        with console.progress("inner", 9) as inner:
            inner(5)
            outer(1)
        assert "5/9" in screen.getvalue()
        assert "1/4" in screen.getvalue()
        screen.truncate(0)
        console.log("a plain line")
        outer(1)
        assert "2/4" in screen.getvalue()
        assert "inner" not in screen.getvalue()
    assert "plain" not in screen.getvalue()
    with pytest.raises(KeyError), console.progress("failing", 1):
        raise KeyError
    with console.progress("next", 3, still=True) as advance:
        advance(2)
    assert "2/3" in screen.getvalue()


def test_where_no_bar_can_be_shown_the_outer_one_says_a_line(capsys):
    console.configure(quiet=False)
    with pytest.raises(KeyError), console.progress("failing", 1):
        raise KeyError
    with console.progress("outer", 4), console.progress("inner", 9):
        console.log("epoch 1")
    with console.progress("unknown", None):
        pass
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "epoch 1"
    assert second.startswith("outer: 4 steps in ")
    assert third.startswith("unknown: 0.0 s")


def test_quiet_says_nothing(capsys):
    console.configure(quiet=True)
    try:
        with console.progress("outer", 4):
            console.log("epoch 1")
    finally:
        console.configure(quiet=False)
    assert capsys.readouterr().err == ""
