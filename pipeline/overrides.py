"""`--set key=value`: one place of a recipe changed from the command line."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from ..common.errors import UserError

_FORM = "Write it as key=value, such as training.0.epochs=2 or export.exporter=torchscript."


def apply(content: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """A copy of `content` with every `key=value` applied; keys have dots, numbers index lists, values are YAML.

    Raises:
        UserError: no `=`, a value that is not YAML, or a key that leads through something that is no mapping or list.
    """
    content = copy.deepcopy(content)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip("."):
            raise UserError(f"--set {override!r} is not understood.", fix=_FORM)
        _assign(content, key.split("."), _value(override, text), override)
    return content


def _value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is not YAML.", fix=_FORM) from error


def _assign(place: Any, parts: list[str], value: Any, override: str) -> None:
    for part in parts[:-1]:
        place = _step(place, part, override)
    last = parts[-1]
    if isinstance(place, list):
        place[_index(place, last, override)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UserError(f"--set {override!r}: there is nothing to set below {parts[-2]!r}.", fix=_FORM)


def _step(place: Any, part: str, override: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, part, override)]
    if not isinstance(place, dict):
        raise UserError(f"--set {override!r}: {part!r} is below a plain value.", fix=_FORM)
    if place.get(part) is None:
        place[part] = {}
    return place[part]


def _index(place: list[Any], part: str, override: str) -> int:
    """A number, or the name of a training stage or backend in the list."""
    if part.isdigit() and int(part) < len(place):
        return int(part)
    for index, item in enumerate(place):
        if isinstance(item, dict) and part in (item.get("stage"), item.get("backend")):
            return index
    raise UserError(f"--set {override!r}: the list has no item {part!r} (it has {len(place)}, from 0).", fix=_FORM)


__all__ = ["apply"]
