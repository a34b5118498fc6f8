"""One run at a time in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError
from .files import explained


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for the length of the block; the system lets go of it when the process dies, however it dies.

    Raises:
        UserError: another process holds it, or the folder can't be written.
    """
    from filelock import FileLock, Timeout

    path = folder / ".lock"
    with explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                "Another twofour is at work in this folder.",
                where=str(folder),
                fix="Wait until it has finished, or choose another folder.",
            ) from error
    try:
        yield
    finally:
        lock.release()


__all__ = ["locked"]
