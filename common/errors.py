"""The errors a command can end with, and the exit code of each.

Everything that is raised on purpose is a `TwofourError`; anything else that reaches the command line is a bug.
"""

from __future__ import annotations


class TwofourError(Exception):
    """One clear paragraph: what is wrong, where, and how to fix it.

    Args:
        what: what is wrong, a whole sentence.
        where: file, key, layer or batch that it concerns. Defaults to nothing.
        fix: what the user can do about it, a whole sentence. Defaults to nothing.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(" ".join(part for part in (f"{where}:" if where else None, what, fix) if part))


class UserError(TwofourError):
    """The user's input is wrong (exit code 2)."""

    exit_code = 2


class GateError(TwofourError):
    """A gate of the recipe was not met: accuracy, latency or sparsity (exit code 3)."""

    exit_code = 3


class MissingError(TwofourError):
    """This machine lacks what was asked for (exit code 4); `fix` is the line that installs it."""

    exit_code = 4


__all__ = ["GateError", "MissingError", "TwofourError", "UserError"]
