from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from twofour.engines.tensorrt import cancel
from twofour.engines.tensorrt.cancel import cancelable
from twofour.engines.tensorrt.progress import Phases


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C is heard, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def until_canceled(phases, started):
    started.set()
    deadline = time.monotonic() + 20
    while phases.step("a", 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    return "stopped"


def interrupt_when(started):
    def wait():
        started.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait).start()


def test_what_the_work_returns_and_raises():
    assert cancelable(lambda: 7, Phases()) == 7
    with pytest.raises(ZeroDivisionError):
        cancelable(lambda: 1 / 0, Phases())


def test_ctrl_c_is_heard_while_the_work_goes_on():
    phases, started = Phases(), threading.Event()
    interrupt_when(started)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cancelable(lambda: until_canceled(phases, started), phases)
    assert time.monotonic() - start < 10
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_work_has_ended_when_the_interrupt_is_raised():
    phases, started, ended = Phases(), threading.Event(), []
    interrupt_when(started)

    def work():
        until_canceled(phases, started)
        time.sleep(0.5)
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        cancelable(work, phases)
    assert ended


def test_a_second_ctrl_c_leaves_at_once(monkeypatch):
    phases, started, end, said = Phases(), threading.Event(), threading.Event(), []

    def hear(text):
        said.append(text)
        interrupt_when(started)

    def deaf():
        started.set()
        return end.wait(20)

    monkeypatch.setattr(cancel.console, "say", hear)
    interrupt_when(started)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cancelable(deaf, phases)
    assert time.monotonic() - start < 10
    assert ["again" in text for text in said] == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (ended,) = cancel._left
    assert not ended.is_set()
    end.set()
    assert ended.wait(10)
    cancel._left.clear()


def test_the_process_ends_under_the_thread_that_was_left(tmp_path):
    code = """
import atexit, os, signal, sys, threading, time
from twofour import cli
from twofour.common import console
from twofour.common.files import atomic
from twofour.engines.tensorrt.cancel import cancelable
from twofour.engines.tensorrt.progress import Phases

signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = lambda: threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
console.say = lambda text: interrupt()

@cli.app.command()
def wait(path: cli.Path):
    with atomic(path) as temporary:
        temporary.write_text("half")
        interrupt()
        cancelable(lambda: time.sleep(20), Phases())

atexit.register(print, "the last word")
sys.argv = ["twofour", "wait", sys.argv[1]]
cli.main()
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True,
                          timeout=60)
    assert time.monotonic() - start < 15
    assert done.returncode == 130
    assert done.stderr.startswith("Interrupted.")
    assert done.stdout == "the last word\n"
    assert list(tmp_path.iterdir()) == []


def test_beside_another_thread_the_usual_handler_stays():
    handlers = []

    def beside():
        cancelable(lambda: handlers.append(signal.getsignal(signal.SIGINT)), Phases())

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_where_ctrl_c_is_ignored_it_stays_so():
    code = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from twofour.engines.tensorrt.cancel import cancelable
from twofour.engines.tensorrt.progress import Phases
print(cancelable(lambda: os.kill(os.getpid(), signal.SIGINT) or "done", Phases()))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "done\n"


@pytest.mark.parametrize(("over", "codes"), [(False, [130]), (True, [])])
def test_python_does_not_end_around_work_that_goes_on(monkeypatch, over, codes):
    ended, seen = threading.Event(), []
    if over:
        ended.set()
    monkeypatch.setattr(cancel, "_left", [ended])
    monkeypatch.setattr(cancel.os, "_exit", seen.append)
    cancel._leave()
    assert seen == codes
