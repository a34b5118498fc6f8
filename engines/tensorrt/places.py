"""The user's folders: what may be deleted at any time, and what is to be kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """For what can be made again: `$XDG_CACHE_HOME/twofour`, or the platform's equivalent."""
    return _folder("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache")


def state_folder() -> Path:
    """For what is kept, and belongs to this machine: `$XDG_STATE_HOME/twofour`, or the platform's equivalent."""
    return _folder("XDG_STATE_HOME", "LOCALAPPDATA", ".local/state")


def _folder(variable: str, windows: str, usual: str) -> Path:
    """By the XDG Base Directory specification, which has relative paths ignored."""
    for name in (variable, windows) if os.name == "nt" else (variable,):
        given = os.environ.get(name, "")
        if os.path.isabs(given):
            return Path(given) / "twofour"
    return Path(os.path.expanduser("~")) / usual / "twofour"


__all__ = ["cache_folder", "state_folder"]
