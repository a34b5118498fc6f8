"""TensorRT's progress as bars; its answers tell TensorRT to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ...common import console
from .module import tensorrt


class Phases:
    """The phases that TensorRT works at, each with its bar; they are nested, and several threads report them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: dict[str, tuple[AbstractContextManager[Callable[[int], None]], Callable[[int], None]]] = {}
        self._done: dict[str, int] = {}
        self._canceled = threading.Event()

    @property
    def canceled(self) -> bool:
        """Whether TensorRT was told to stop."""
        return self._canceled.is_set()

    def cancel(self) -> None:
        """Let TensorRT stop at its next step."""
        self._canceled.set()

    def start(self, name: str, steps: int) -> None:
        """Show the bar of a phase; none any more where TensorRT shall stop, for nobody may be there to take it away."""
        with self._lock:
            self.finish(name)
            if self.canceled:
                return
            bar = console.progress(name, steps)
            self._bars[name], self._done[name] = (bar, bar.__enter__()), 0

    def step(self, name: str, step: int) -> bool:
        """Move a phase's bar past its step number `step`, from 0; False where TensorRT shall stop."""
        with self._lock:
            done = self._done.get(name, 0)
            if name in self._bars and step >= done:
                self._bars[name][1](step + 1 - done)
                self._done[name] = step + 1
        return not self.canceled

    def finish(self, name: str) -> None:
        """Take a phase's bar away."""
        with self._lock:
            bar, _ = self._bars.pop(name, (None, None))
            if bar is not None:
                bar.__exit__(None, None, None)

    def close(self) -> None:
        """Take all bars away; TensorRT says of no phase that it ends where the build fails."""
        with self._lock:
            for name in list(self._bars):
                self.finish(name)


def monitor(phases: Phases) -> Any:
    """A `trt.IProgressMonitor` that reports to `phases`.

    Raises:
        MissingError: TensorRT is missing.
    """
    trt = tensorrt()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # pybind11 takes no object whose base wasn't set up

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:  # noqa: ARG002
            _guarded(phases, lambda: phases.start(phase_name, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            return _guarded(phases, lambda: phases.step(phase_name, step)) is True

        def phase_finish(self, phase_name: str) -> None:
            _guarded(phases, lambda: phases.finish(phase_name))

    return Monitor()


def _guarded(phases: Phases, work: Callable[[], Any]) -> Any:
    """Do `work`; the bindings swallow what is raised here, so a Ctrl-C is kept as the wish to stop."""
    try:
        return work()
    except KeyboardInterrupt:
        phases.cancel()
        return False


__all__ = ["Phases", "monitor"]
