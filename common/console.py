"""What a person sees while it works: lines and progress bars on standard error; results go to standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_quiet = False


def configure(*, quiet: bool) -> None:
    """Silence everything but warnings and errors."""
    global _quiet
    _quiet = quiet


def say(text: str) -> None:
    """One plain line on standard error."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """What the command was asked for, on standard output."""
    print(text, flush=True)


def warn(text: str) -> None:
    """One line that is said even when quiet was asked for."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


@contextmanager
def progress(label: str, total: int, *, still: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar with the time left; yields `advance(steps)`.

    Where standard error is no terminal: one plain line at the end instead. Quiet: nothing.

    Args:
        label: what is being done ("train dense").
        total: number of steps.
        still: redraw only when it advances, so that no thread runs beside what is being timed.
    """
    if _quiet:
        yield _nothing
    elif sys.stderr.isatty():
        with _bar(label, total, still) as advance:
            yield advance
    else:
        start = time.perf_counter()
        yield _nothing
        say(f"{label}: {total} steps in {time.perf_counter() - start:.1f} s")


def _nothing(_steps: int) -> None:
    """The advance of a bar that nobody sees."""


@contextmanager
def _bar(label: str, total: int, still: bool) -> Iterator[Callable[[int], None]]:
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
    with Progress(*columns, console=Console(stderr=True), auto_refresh=not still) as bars:
        task = bars.add_task(label, total=total)

        def advance(steps: int) -> None:
            bars.advance(task, steps)
            if still:
                bars.refresh()

        yield advance


__all__ = ["configure", "progress", "result", "say", "warn"]
