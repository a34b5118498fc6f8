"""TensorRT's long work, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ...common import console
from .progress import Phases

Result = TypeVar("Result")
_PATIENCE = 0.2  # seconds between two looks


def cancelable(work: Callable[[], Result], phases: Phases) -> Result:
    """Do `work` on a thread of its own, so that Ctrl-C is heard at once.

    Python hears signals between two of its own steps on the main thread, and TensorRT makes none there for minutes;
    and what is raised in a callback, the bindings print and swallow.

    Args:
        work: what to do.
        phases: through which it is told to stop.

    Raises:
        KeyboardInterrupt: Ctrl-C came; `work` has stopped by then.
        Exception: whatever `work` raised.
    """
    results: list[Result] = []
    troubles: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=run, name="tensorrt")
    with _stopping(phases):
        thread.start()
        while thread.is_alive():
            thread.join(_PATIENCE)
    phases.close()
    if phases.canceled:
        raise KeyboardInterrupt
    if troubles:
        raise troubles[0]
    return results[0]


@contextmanager
def _stopping(phases: Phases) -> Iterator[None]:
    """Take Ctrl-C for the wish to stop, on the main thread; elsewhere, and where it is ignored, leave it as it is."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        if not phases.canceled:
            phases.cancel()
            console.say("Stopping: TensorRT ends at its next step.")

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


__all__ = ["cancelable"]
