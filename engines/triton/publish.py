"""Into the model repository, whole or not at all, also while a server is looking."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ...common.errors import UserError
from ...common.files import explained, sha256, write_text
from .model_config import untouched

CONFIG = "config.pbtxt"
_NUMBER = re.compile(r"\d+")


def next_version(model: Path) -> int:
    """One more than the largest version in the model's folder; 1 in a new one.

    Raises:
        UserError: its config.pbtxt is not as `twofour package` left it.
    """
    path = model / CONFIG
    if path.exists() and not _ours(path):
        raise UserError(
            "This model's config.pbtxt was written or changed by hand, and is not overwritten.", where=str(path),
            fix="Give another name with --name, or move the file away.",
        )
    # a name that only begins with a number is a version to the server too
    found = [_NUMBER.match(one.name) for one in model.iterdir()] if model.is_dir() else []
    return 1 + max((int(one.group()) for one in found if one), default=0)


def _ours(path: Path) -> bool:
    try:
        return untouched(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def publish(model: Path, version: int, contents: Mapping[str, tuple[Path, str]], config: str) -> None:
    """Write a version and the config that serves it; the caller holds the repository's lock.

    A new model's folder is put in its place in one step. In a model that is there, the server serves the old version
    until the config, which goes last, names the new one.

    Args:
        model: the model's folder.
        version: its number, not there yet.
        contents: by path within the version's folder, the file to copy and its SHA-256.
        config: the text of config.pbtxt.

    Raises:
        UserError: no room, no permission, or a file changed while it was copied. Nothing is left of it then.
    """
    workshop, made = _workshop(model), not model.exists()
    with explained(model):
        _sweep(model)
        try:
            workshop.mkdir(parents=True)
            _fill(workshop / str(version), contents)
            if made and workshop.parent != model:
                write_text(workshop / CONFIG, config)
                workshop.rename(model)
            else:
                (workshop / str(version)).rename(model / str(version))
                _replace_config(model, version, config)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
            if made:
                with suppress(OSError):
                    model.rmdir()  # only if nothing came of it: it is empty


def _replace_config(model: Path, version: int, config: str) -> None:
    try:
        write_text(model / CONFIG, config)
    except BaseException:
        shutil.rmtree(model / str(version), ignore_errors=True)
        raise


def _workshop(model: Path) -> Path:
    """Where a version is put together: beside the repository, for within it every folder is a model to the server.

    Where that can't be written or lies on another disk, as with a mounted volume, it is within the model's folder,
    under a name that is no number.
    """
    repository = model.parent.resolve()
    beside = repository.parent
    near = beside != repository and os.access(beside, os.W_OK) and beside.stat().st_dev == repository.stat().st_dev
    name = f".{repository.name}.{model.name}.{os.getpid()}.tmp"
    return beside / name if near else model / name


def _sweep(model: Path) -> None:
    """Delete what killed processes left."""
    repository = model.parent.resolve()
    pattern = re.compile(re.escape(f".{repository.name}.{model.name}.") + r"\d+\.tmp")
    for place in (repository.parent, model):
        for left in place.iterdir() if place.is_dir() and os.access(place, os.R_OK) else ():
            if pattern.fullmatch(left.name):
                shutil.rmtree(left, ignore_errors=True)


def _fill(folder: Path, contents: Mapping[str, tuple[Path, str]]) -> None:
    for name, (source, digest) in contents.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())
        if sha256(target) != digest:
            raise UserError("This file changed while it was copied.", where=str(source),
                            fix="Wait until nothing writes it any more, and run the same command again.")


__all__ = ["CONFIG", "next_version", "publish"]
