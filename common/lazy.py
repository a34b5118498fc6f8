"""Imports that wait: a package that is missing or broken is explained at its first use, never at start-up."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .errors import MissingError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module` now.

    Args:
        module: dotted name, such as `torch`.
        extra: the extra of twofour that brings it, such as `train`.
        purpose: what needs it, to complete the sentence "X needs ...".

    Raises:
        MissingError: it is not installed, or its import fails; with the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == module.split(".")[0]
        state = "is not installed" if absent else f"is installed but can't be imported ({error})"
        raise _missing(module, state, extra, purpose) from error
    except Exception as error:  # a broken native build can raise anything at import
        state = f"is installed but can't be imported ({type(error).__name__}: {error})"
        raise _missing(module, state, extra, purpose) from error


def _missing(module: str, state: str, extra: str, purpose: str) -> MissingError:
    return MissingError(
        f"{purpose} needs the package {module.split('.')[0]!r}, which {state}.",
        fix=f"Install it with: pip install 'twofour[{extra}]'",
    )


__all__ = ["require"]
