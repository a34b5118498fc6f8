"""Whether a Python value is one that pybind11 would take for a type that a docstring names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .signatures import split


def fits(value: Any, kind: str, lookup: Callable[[str], type | None]) -> bool:
    """Whether `value` fits the docstring type `kind`; `lookup` finds TensorRT's classes by their last name."""
    plain = _PLAIN.get(kind.removeprefix("typing.").removeprefix("typing_extensions.").removeprefix("collections.abc."))
    if plain is not None:
        return plain(value)
    container = re.fullmatch(r"(?:typing\.|collections\.abc\.)?(\w+)\[(.*)\]", kind)
    if container:
        return _container(value, container[1].lower(), split(container[2]), lookup)
    return _instance(value, kind, lookup)


def _instance(value: Any, kind: str, lookup: Callable[[str], type | None]) -> bool:
    found = lookup(kind)
    if found is None:
        raise LookupError(f"the docstring's type {kind!r} is unknown to the double: teach it in kinds.py")
    if isinstance(value, found):
        return True
    return found.__name__ == "Dims" and isinstance(value, (tuple, list)) and all(_integer(item) for item in value)


def _container(value: Any, name: str, inner: list[str], lookup: Callable[[str], type | None]) -> bool:
    if name in ("list", "sequence"):
        return isinstance(value, (list, tuple)) and all(fits(item, inner[0], lookup) for item in value)
    if name == "tuple":
        return isinstance(value, tuple) and all(map(lambda item, kind: fits(item, kind, lookup), value, inner))
    if name == "dict":
        return isinstance(value, dict)
    raise LookupError(f"the docstring's container {name!r} is unknown to the double: teach it in kinds.py")


def _integer(value: Any) -> bool:
    """Whole numbers and what stands for one, such as enum members; never floats."""
    return not isinstance(value, (float, str, bytes, np.floating)) and (
        hasattr(type(value), "__index__") or hasattr(type(value), "__int__")) and not _many(value)


def _many(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number))


def _buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _capsule(value: Any) -> bool:
    return type(value).__name__ == "PyCapsule"


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "int": _integer, "SupportsInt": _integer, "SupportsIndex": _integer, "float": _number, "SupportsFloat": _number,
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "tuple": lambda value: isinstance(value, tuple),
    "list": lambda value: isinstance(value, list),
    "buffer": _buffer, "Buffer": _buffer,
    "object": lambda value: True,
    "function": callable, "Callable": callable,
    "capsule": _capsule, "CapsuleType": _capsule,
    "None": lambda value: value is None,
}
