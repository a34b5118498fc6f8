"""What a person sees while it works: lines and progress bars on standard error; results go to standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_quiet = False
_bars: Any = None  # rich's display while it is on the terminal, which holds one
_timing = False


def configure(*, quiet: bool) -> None:
    """Silence everything but warnings and errors."""
    global _quiet
    _quiet = quiet


def say(text: str) -> None:
    """One plain line on standard error."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


def log(text: str) -> None:
    """One plain line where standard error is no terminal, and so no bar shows how far the work is."""
    if _bars is None and not sys.stderr.isatty():
        say(text)


def result(text: str) -> None:
    """What the command was asked for, on standard output."""
    print(text, flush=True)


def warn(text: str) -> None:
    """One line that is said even when quiet was asked for."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


@contextmanager
def progress(label: str, total: int | None, *, still: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar with the time left; yields `advance(steps)`.

    Where standard error is no terminal: one plain line at the end instead. Quiet: nothing. Within another bar: a
    second one below it that goes when it is done, and no line.

    Args:
        label: what is being done ("train dense").
        total: number of steps, or None where nobody knows.
        still: redraw only when it advances, so that no thread runs beside what is being timed.
    """
    if _quiet or _timing:
        yield _nothing
    elif _bars is not None:
        task = _bars.add_task(label, total=total)
        yield lambda steps: _bars.advance(task, steps)
        _bars.remove_task(task)
    elif sys.stderr.isatty():
        with _bar(label, total, still) as advance:
            yield advance
    else:
        with _timed(label, total):
            yield _nothing


def _nothing(_steps: int) -> None:
    """The advance of a bar that nobody sees."""


@contextmanager
def _timed(label: str, total: int | None) -> Iterator[None]:
    global _timing
    start, _timing = time.perf_counter(), True
    try:
        yield
    finally:
        _timing = False
    steps = "" if total is None else f"{total} steps in "
    say(f"{label}: {steps}{time.perf_counter() - start:.1f} s")


@contextmanager
def _bar(label: str, total: int | None, still: bool) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), auto_refresh=not still) as bars, _shown(bars):
        task = bars.add_task(label, total=total)

        def advance(steps: int) -> None:
            bars.advance(task, steps)
            if still:
                bars.refresh()

        yield advance


@contextmanager
def _shown(bars: Any) -> Iterator[None]:
    global _bars
    _bars = bars
    try:
        yield
    finally:
        _bars = None


__all__ = ["configure", "log", "progress", "result", "say", "warn"]
