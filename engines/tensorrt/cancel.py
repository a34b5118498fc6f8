"""TensorRT's long work, and Ctrl-C."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ...common import console
from .progress import Phases

Result = TypeVar("Result")
_PATIENCE = 0.2  # seconds between two looks
_STOPPED = 130  # exit code after Ctrl-C
_left: list[threading.Event] = []  # the end of work that still went on when Ctrl-C came a second time


def cancelable(work: Callable[[], Result], phases: Phases) -> Result:
    """Do `work` on a thread of its own, so that Ctrl-C is heard at once.

    Python hears signals between two of its own steps on the main thread, and TensorRT makes none there for minutes;
    and what is raised in a callback, the bindings print and swallow.

    Args:
        work: what to do.
        phases: through which it is told to stop.

    Raises:
        KeyboardInterrupt: Ctrl-C came; `work` has stopped by then, unless it came a second time: then it is left alone,
            and the process ends without it.
        Exception: whatever `work` raised.
    """
    results: list[Result] = []
    troubles: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            troubles.append(error)
        finally:
            ended.set()

    _await(threading.Thread(target=run, name="tensorrt", daemon=True), ended, phases)
    if phases.canceled:
        raise KeyboardInterrupt
    if troubles:
        raise troubles[0]
    return results[0]


def _await(thread: threading.Thread, ended: threading.Event, phases: Phases) -> None:
    """Wait for the event, since `join` takes a thread for ended when it is interrupted (Python before 3.13)."""
    try:
        with _stopping(phases):
            thread.start()
            while not ended.wait(_PATIENCE):
                pass
    except KeyboardInterrupt:
        _left.append(ended)
        raise
    finally:
        phases.close()


@contextmanager
def _stopping(phases: Phases) -> Iterator[None]:
    """Take Ctrl-C for the wish to stop, on the main thread; elsewhere, and where it is ignored, leave it as it is.

    The second one raises KeyboardInterrupt: a step of TensorRT's can take minutes.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        if phases.canceled:
            raise KeyboardInterrupt
        phases.cancel()
        console.say("Stopping: TensorRT ends at its next step. Ctrl-C again leaves at once.")

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


@atexit.register
def _leave() -> None:
    """End the process under a thread that was left: Python would abort it in the middle of TensorRT, which crashes."""
    if not all(ended.is_set() for ended in _left):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(_STOPPED)


__all__ = ["cancelable"]
