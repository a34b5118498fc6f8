"""The timing cache: what the builder measured of each tactic, kept between builds in a file that several may share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...common import console
from ...common.errors import UserError
from ...common.files import atomic, explained
from ..cuda.device import Device, device
from .capabilities import capabilities
from .places import cache_folder

_PATIENCE = 60.0  # seconds; it is held for as long as a file is read or written


def cache_path(setting: str, device: Device) -> Path | None:
    """The file that `TensorRTConfig.timing_cache` means: one per release and GPU for `auto`, None for `off`."""
    if setting == "off":
        return None
    if setting != "auto":
        return Path(setting).expanduser().absolute()
    architecture = "sm" + "".join(map(str, device.compute_capability))
    return cache_folder() / "timing" / f"tensorrt-{capabilities().version}-{device.slug}-{architecture}.cache"


def attach(made: Any, path: Path | None) -> str:
    """Give the builder what the file holds.

    Args:
        made: a `trt.IBuilderConfig`.
        path: the file, or None.

    Returns:
        What became of it: `off`, `new`, `used`, or `ignored: ...` with the reason.
    """
    if path is None:
        return "off"
    content, trouble = _content(path)
    if content:
        cache = made.create_timing_cache(content)
        if cache is not None and made.set_timing_cache(cache, ignore_mismatch=False):
            return "used"
        trouble = f"it is {'damaged or of another TensorRT' if cache is None else 'of another TensorRT or another GPU'}"
    made.set_timing_cache(made.create_timing_cache(b""), ignore_mismatch=False)
    if trouble:
        more = " It will be replaced." if content and _own(path) else ""
        console.warn(f"The timing cache {path} is ignored: {trouble}.{more}")
    return f"ignored: {trouble}" if trouble else "new"


def _content(path: Path) -> tuple[bytes, str | None]:
    """What the file holds, or why it can't be read."""
    try:
        with _held(path):
            return (path.read_bytes() if path.is_file() else b""), None
    except UserError as error:
        return b"", error.what.rstrip(".")


def keep(made: Any, path: Path | None) -> None:
    """Add what the builder learned to the file; a file that can't be written is a warning, not an error.

    A file that doesn't fit is replaced if it is our own, and else left as it is: it may serve another machine.
    """
    if path is None:
        return
    try:
        merge(path, lambda content: _combined(made, content, path))
    except UserError as error:
        console.warn(f"What this build measured is not kept for the next one. {error}")


def _combined(made: Any, content: bytes, path: Path) -> bytes:
    """What was learned together with what the file holds by now."""
    learned = made.get_timing_cache()
    stored = made.create_timing_cache(content) if content else None
    fits = stored is not None and learned.combine(stored, ignore_mismatch=False)
    if content and not fits and not _own(path):
        raise UserError("This file is of another TensorRT or another GPU, or no timing cache, and is left as it is.",
                        where=str(path), fix="Choose another file with --timing-cache, or delete this one.")
    return bytes(learned.serialize())


def _own(path: Path) -> bool:
    """Whether it is the file of this release and GPU in the user's cache folder: if it doesn't fit, it is damaged."""
    return path == cache_path("auto", device())


def merge(path: Path, combine: Callable[[bytes], bytes]) -> None:
    """Replace the file's content by `combine(content)`, whole, while nobody else may; an absent file is empty.

    Raises:
        UserError: it can't be written, or another process holds it for more than a minute.
    """
    with _held(path):
        content = combine(path.read_bytes() if path.is_file() else b"")
        with atomic(path) as temporary:
            temporary.write_bytes(content)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            with lock.acquire(timeout=_PATIENCE):
                yield
        except Timeout as error:
            raise UserError("Another process holds this timing cache.", where=str(path),
                            fix="Wait until it has finished, or choose another with --timing-cache.") from error


__all__ = ["attach", "cache_path", "keep", "merge"]
