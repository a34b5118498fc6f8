"""Engine commands on the engine or bundle of a run: they may replace what the run has on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ..common.lock import locked
from .run import RECIPE
from .stage import RECORD, intact, read


@contextmanager
def standalone(target: Path) -> Iterator[None]:
    """Hold the run that `target` belongs to, if any, and afterwards forget the stages whose files were replaced.

    The next `twofour run` does those again, instead of taking them for damaged.

    Raises:
        UserError: the run is at work.
    """
    run = _run_of(target)
    with locked(run) if run else nullcontext():
        yield
        if run:
            _forget(run)


def _run_of(target: Path) -> Path | None:
    parents = list(target.resolve().parents)[:2]
    return next((folder for folder in parents if (folder / RECIPE).is_file()), None)


def _forget(run: Path) -> None:
    for path in (run / "engines").rglob(RECORD):
        record = read(run, str(path.parent.relative_to(run)))
        if record is not None and not intact(record, run):
            path.unlink()


__all__ = ["standalone"]
