"""Which plans were built here: a plan can run code, so one that wasn't is loaded only where the user trusts it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from ...common.errors import UserError
from .places import state_folder

_BYTES = 32


def sign(digest: str) -> str:
    """The signature of the plan with this SHA-256, by a key that only this user on this machine has.

    The key is made on the first call, with mode 0600 in the user's state folder.

    Raises:
        UserError: the key can't be made or read, or others can read it.
    """
    return _signature(_key(make=True), digest)


def is_ours(digest: str, signature: str) -> bool:
    """Whether `sign` gave this signature to the plan with this SHA-256.

    Raises:
        UserError: the key can't be read, or others can read it.
    """
    key = _key(make=False)
    return bool(key) and hmac.compare_digest(_signature(key, digest), signature)


def key_path() -> Path:
    """Where the key lies."""
    return state_folder() / "plan.key"


def _signature(key: bytes, digest: str) -> str:
    return hmac.new(key, f"twofour plan {digest}".encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes:
    """The key; empty where there is none and none is to be made."""
    path = key_path()
    try:
        if not path.exists():
            if not make:
                return b""
            _make(path)
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise UserError(f"The key that signs plans can't be made or read ({error.strerror or error}).",
                        where=str(path), fix="Correct the permissions of its folder.") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError("Others may read or change the key that signs plans.", where=str(path),
                        fix="Delete it and build again; plans signed with it then need --trust.")
    if len(key) != _BYTES:
        raise UserError("The key that signs plans is damaged.", where=str(path),
                        fix="Delete it and build again; plans signed with it then need --trust.")
    return key


def _make(path: Path) -> None:
    """Whole when it appears, and never over another: of two builds at once, both use the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".plan.key.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        _place(Path(name), path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _place(made: Path, path: Path) -> None:
    try:
        os.link(made, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(made, path)


__all__ = ["is_ours", "key_path", "sign"]
