"""A time budget."""

from __future__ import annotations

import time


class Clock:
    """Runs from its making.

    Args:
        seconds: the budget; None is without end.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._start, self._seconds = time.perf_counter(), seconds

    @property
    def passed(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self._start

    @property
    def over(self) -> bool:
        """The budget is used up."""
        return self._seconds is not None and self.passed >= self._seconds

    def share(self, count: int) -> Clock:
        """A clock with an equal share, one of `count`, of what is left."""
        return Clock(None if self._seconds is None else max(self._seconds - self.passed, 0.0) / count)


__all__ = ["Clock"]
