"""Write the bundle's files, so that a folder with a bundle.json is always a whole bundle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..common import bundle, files
from ..common.bundle import Manifest

_SOMETIMES = (bundle.WEIGHTS, bundle.FEATURES, bundle.PICTURES)
_WORKSHOP = ".bundle.tmp"


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` to write a new bundle in; what a killed export left there is removed first."""
    place = folder / _WORKSHOP
    with files.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(place: Path, folder: Path, names: list[str], manifest: Manifest) -> None:
    """Move the files of `place` into `folder`: the old bundle.json goes first, the new one comes last.

    Raises:
        UserError: the folder can't be written; it then holds no bundle.json, so nobody takes it for a bundle.
    """
    with files.explained(folder):
        (folder / bundle.MANIFEST).unlink(missing_ok=True)
        for name in names:
            os.replace(place / name, folder / name)
        for name in _SOMETIMES:
            if name not in names:
                (folder / name).unlink(missing_ok=True)
    files.write_json(folder / bundle.MANIFEST, manifest.model_dump(mode="json"))


__all__ = ["publish", "workshop"]
