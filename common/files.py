"""Files that are whole or absent: written to a temporary name and renamed, checked against their hash when read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError

_TEMPORARY = ".tmp"
_OUR_FILE = re.compile(r"\..+\.\d+-\d+\.tmp")
_OUR_FOLDER = re.compile(r"\..+\.\d+\.tmp|\.bundle\.tmp")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DAMAGED = (  # all that NumPy and zipfile were seen to raise on an archive that isn't whole, or is of another kind
    ValueError, EOFError, KeyError, OverflowError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, delete it if not.

    Raises:
        UserError: the disk is full or the folder can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{_TEMPORARY}")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def sweep(folder: Path) -> None:
    """Delete what a killed process left below `folder`; call it only with the folder locked.

    Only what has the name and kind of our own temporaries: the files of `atomic`, the folders in which an ONNX file
    (`.NAME.PID.tmp`) or a bundle (`.bundle.tmp`) is written.
    """
    for left in folder.rglob(f".*{_TEMPORARY}"):
        with suppress(OSError):
            if left.is_symlink():
                continue
            if _OUR_FILE.fullmatch(left.name) and left.is_file():
                left.unlink()
            elif _OUR_FOLDER.fullmatch(left.name) and left.is_dir():
                shutil.rmtree(left)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a `UserError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _NO_ROOM:
            raise UserError(
                f"There is no room left to write this file ({reason}).",
                where=str(path),
                fix="Nothing was half-written: free some space and run the same command again.",
            ) from error
        raise UserError(
            f"This file can't be written ({reason}).",
            where=str(path),
            fix="Choose another folder, or correct its permissions.",
        ) from error


@contextmanager
def _reading(path: Path, fix: str | None = None) -> Iterator[None]:
    """Turn the operating system's refusal to read `path` into a `UserError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError("This file is missing.", where=str(path), fix=fix) from error
    except OSError as error:
        fix = "Correct its permissions." if isinstance(error, PermissionError) else None
        raise UserError(f"This file can't be read ({error.strerror or error}).", where=str(path), fix=fix) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, sorted by nothing: the order given is the order kept."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing, can't be read, or is not JSON.
    """
    try:
        with _reading(path, "Run the stage that makes it again."):
            return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"This file is damaged: it is not JSON ({error}).", where=str(path)) from error


def save_npz(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write named arrays; names may hold slashes, dtypes must not be `object`."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays and never a pickle.

    Raises:
        UserError: the file is missing, can't be read, is damaged, or holds Python objects (reading those could run
            code).
    """
    with _reading(path), path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise UserError("This file is damaged: it is no .npz archive.", where=str(path))
        file.seek(0)
        try:
            return _arrays(file)
        except _DAMAGED as error:
            if "allow_pickle" not in str(error):
                raise UserError(f"This file is damaged ({error or type(error).__name__}).", where=str(path)) from error
            raise UserError(
                "This file holds pickled Python objects, which twofour never loads because they can run code.",
                where=str(path),
                fix="Store plain numeric arrays.",
            ) from error


def _arrays(file: Any) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(file, allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    strange = [name for name, value in found.items() if not isinstance(value, np.ndarray)]
    if strange:
        raise ValueError(f"{strange[0]!r} is no array")
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal; the file is read in pieces.

    Raises:
        UserError: it is missing or can't be read.
    """
    with _reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def hashes(folder: Path, names: list[str]) -> dict[str, str]:
    """The hash of each named file of `folder`."""
    return {name: sha256(folder / name) for name in names}


def verify(folder: Path, expected: Mapping[str, str], fix: str) -> None:
    """Check every file of `expected` (name to SHA-256).

    Raises:
        UserError: a name leads out of the folder, a file is missing, or its content changed (the file is named).
    """
    for name, digest in expected.items():
        path = inside(folder, name)
        if not path.is_file():
            raise UserError("This file is missing.", where=str(path), fix=fix)
        if sha256(path) != digest:
            raise UserError("This file is damaged: its hash is not the one on record.", where=str(path), fix=fix)


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, provided that it stays in the folder.

    Raises:
        UserError: the name is absolute, or climbs or links out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"The file name {name!r} leads out of its folder.",
            where=str(folder),
            fix="Don't use this folder: it was not written by twofour.",
        )
    return path


__all__ = [
    "atomic", "explained", "hashes", "inside", "load_npz", "read_json", "save_npz", "sha256", "sweep", "verify",
    "write_json", "write_text",
]
