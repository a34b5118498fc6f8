"""Calls into the user's objects as the real bindings make them: what they raise is printed and swallowed.

Swallowed errors are kept in `trt.double.callback_errors`; a fixture fails the test that left one unread.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from . import checked
from .state import STATE

METHODS: dict[str, dict[str, int]] = {
    "ILogger": {"log": 2},
    "IProgressMonitor": {"phase_start": 3, "step_complete": 2, "phase_finish": 1},
    "IProfiler": {"report_layer_time": 2},
    "IDebugListener": {"process_debug_tensor": 6},
    "IOutputAllocator": {"notify_shape": 2},
}
"""What an application must implement, and with how many arguments the bindings call it."""


def attach(interface: str, value: Any) -> Any:
    """Refuse an object that the bindings could not call.

    Raises:
        TypeError: a method is not overridden, or takes another number of arguments.
    """
    if value is None or type(value) in (checked.REAL.Logger, checked.REAL.Profiler):
        return value
    base = getattr(checked.REAL, interface)
    for name, count in METHODS[interface].items():
        own = getattr(type(value), name, None)
        if own is None or own is getattr(base, name, None):
            raise TypeError(f"{type(value).__name__} doesn't implement {interface}.{name}")
        try:
            inspect.signature(getattr(value, name)).bind(*range(count))
        except TypeError as error:
            raise TypeError(f"{type(value).__name__}.{name} is called with {count} arguments: {error}") from None
    return value


def call(value: Any, name: str, *args: Any) -> Any:
    """Call a method of the user's object; None if it raised, whatever it raised."""
    try:
        return getattr(value, name)(*args)
    except BaseException as error:
        STATE.callback_errors.append(f"{name}: {type(error).__name__}: {error}")
        sys.stderr.write(f"[ERROR] Exception caught in {name}(): {type(error).__name__}: {error}\n")
        return None


def log(logger: Any, severity: str, text: str) -> None:
    """One line to the user's logger."""
    STATE.logged.append((severity, text))
    if isinstance(logger, checked.REAL.Logger):
        return  # the real one prints to stderr
    call(logger, "log", getattr(checked.REAL.ILogger.Severity, severity), text)


def truth(answer: Any, name: str) -> bool:
    """As the bindings cast an answer to bool: what is no bool, is False."""
    if not isinstance(answer, bool):
        STATE.callback_errors.append(f"{name} answered {answer!r}, which the bindings take for False")
        return False
    return answer
