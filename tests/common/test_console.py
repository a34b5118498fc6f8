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
