"""Protobuf's text format, written without protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Word(str):
    """The name of an enum's member, which is written without quotes."""


def render(message: Mapping[str, Any], indent: int = 0) -> str:
    """A message as text, one field to a line.

    Args:
        message: a value by field name: str, int, bool, `Word`, a mapping for a message, or a sequence of these for a
            repeated field. None is left out.
        indent: levels of two spaces in front of every line. Defaults to 0.

    Raises:
        ValueError: a string can't be written as UTF-8.
    """
    return "".join(_field(name, value, indent) for name, value in message.items() if value is not None)


def _field(name: str, value: Any, indent: int) -> str:
    pad = "  " * indent
    if isinstance(value, Mapping):
        return f"{pad}{name} {{\n{render(value, indent + 1)}{pad}}}\n"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(one, Mapping) for one in value):
            return "".join(_field(name, one, indent) for one in value)
        return f"{pad}{name}: [{', '.join(map(_scalar, value))}]\n"
    return f"{pad}{name}: {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Word):
        return str(value)
    return quoted(value) if isinstance(value, str) else str(int(value))


def quoted(text: str) -> str:
    """A string literal: quotes and backslashes are escaped, and whatever can't be printed is written in octal.

    Raises:
        ValueError: it can't be written as UTF-8.
    """
    return '"' + "".join(_character(one) for one in text) + '"'


def _character(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() else "".join(f"\\{byte:03o}" for byte in one.encode("utf-8"))


__all__ = ["Word", "quoted", "render"]
