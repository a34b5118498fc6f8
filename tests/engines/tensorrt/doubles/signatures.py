"""The argument lists of TensorRT's real functions, read from the docstrings that pybind11 writes: all overloads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

MISSING = object()
_LINE = r"^(?:\d+\. )?{name}\((.*)\) -> (.+)$"


@dataclass(frozen=True)
class Parameter:
    """One argument: its keyword, its type as the docstring writes it, and its default as text (None: it has none)."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True)
class Overload:
    """One way to call a function; `self` is left out."""

    text: str
    parameters: tuple[Parameter, ...]
    returns: str


@cache
def overloads(doc: str | None, name: str) -> tuple[Overload, ...]:
    """All overloads of the function `name` in a docstring; `name` is empty for a property's getter or setter."""
    found = []
    for line in (doc or "").splitlines():
        match = re.match(_LINE.format(name=re.escape(name)), line.strip())
        if match:
            found.append(Overload(line.strip(), tuple(_parameters(match[1])), match[2]))
    return tuple(found)


def _parameters(text: str) -> list[Parameter]:
    parts = [_parameter(part) for part in split(text) if part]
    of_object = parts and (parts[0].name == "self" or (parts[0].name == "arg0" and "tensorrt" in parts[0].type))
    return parts[1:] if of_object else parts


def _parameter(text: str) -> Parameter:
    name, _, rest = text.partition(":")
    kind, equals, default = rest.partition(" = ")
    return Parameter(name.strip(), kind.strip(), default.strip() if equals else None)


def split(text: str) -> list[str]:
    """At the commas that stand in no bracket."""
    parts, depth, part = [], 0, ""
    for character in text:
        depth += (character in "[(<{") - (character in "])>}")
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    return [*parts, part.strip()]


def bind(overload: Overload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | str:
    """Arguments by parameter name, those that were given; or why this overload can't take them."""
    names = [parameter.name for parameter in overload.parameters]
    if len(args) > len(names):
        return f"takes {len(names)} arguments, {len(args)} given"
    bound = dict(zip(names, args, strict=False))
    for key, value in kwargs.items():
        if key not in names or re.fullmatch(r"arg\d+", key):
            return f"has no keyword {key!r}"
        if key in bound:
            return f"got {key!r} twice"
        bound[key] = value
    lacking = [p.name for p in overload.parameters if p.default is None and p.name not in bound]
    return f"lacks {', '.join(lacking)}" if lacking else bound
