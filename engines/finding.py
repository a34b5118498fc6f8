"""One thing that was looked at on this machine, and how to look at a module without loading it here."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

from ..common.schema import Document

State = Literal["ok", "missing", "broken"]
PATIENCE = 10.0  # seconds that a trial may take; a cold import of TensorRT takes some


class Finding(Document):
    """One thing that was looked at.

    Attributes:
        name: what.
        state: `ok`, `missing`, or `broken` (there, but it can't work).
        detail: version, size, or what is wrong.
        fix: the line that installs or repairs it; None where there is nothing to do.
    """

    name: str
    state: State
    detail: str
    fix: str | None = None


def run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """The finished process; None if it takes too long, which is no proof of a fault."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None


def run_python(code: str) -> subprocess.CompletedProcess[str] | None:
    """`run` for Python code, in which modules are found as here, but not in the folder that it runs in."""
    return run([sys.executable, "-c", f"import sys; sys.path.pop(0); {code}"])


def last_line(text: str) -> str:
    """The last line of what a process wrote."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it fails without a word"


__all__ = ["PATIENCE", "Finding", "State", "last_line", "run", "run_python"]
