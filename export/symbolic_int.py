"""Let `int(x.shape[0])` stay symbolic while torch.export traces: Python's own `int` fixes it to the example's size."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_NOT_THEIRS = ("torch", "modelopt", "builtins")


class _IntOfShapes(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, (int, torch.SymInt))

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, int)

    def __call__(cls, *args: Any, **named: Any) -> Any:
        if args and isinstance(args[0], (torch.SymInt, torch.SymFloat)):
            return torch.sym_int(args[0])  # type: ignore[no-untyped-call]
        return int(*args, **named)


class SymbolicInt(metaclass=_IntOfShapes):
    """`int` for everything but a symbolic size, which it leaves symbolic."""


@contextmanager
def symbolic_int(network: nn.Module) -> Iterator[None]:
    """Within the block, `int` means `SymbolicInt` in the Python modules that define the network's classes."""
    names = {base.__module__ for module in network.modules() for base in type(module).__mro__}
    places = [
        vars(sys.modules[name]) for name in sorted(names)
        if name in sys.modules and name.split(".")[0] not in _NOT_THEIRS and "int" not in vars(sys.modules[name])
    ]
    for place in places:
        place["int"] = SymbolicInt
    try:
        yield
    finally:
        for place in places:
            del place["int"]


__all__ = ["SymbolicInt", "symbolic_int"]
