"""Doubles that have nothing which the real class lacks.

A class made with `class Builder(Checked, of=real.Builder)` stands for the real one. Names that the real class has not,
raise AttributeError, on the class and on its objects; every call is checked against all overloads of the real docstring
(arity, keywords, types), and every assignment against the real property. What the real class has and the double
doesn't do yet, raises `NotDoubled`, so that a test can't pass by accident. Names that begin with an underscore are the
double's own.
"""

from __future__ import annotations

from typing import Any

from . import signatures
from .kinds import fits


class NotDoubled(Exception):  # noqa: N818
    """The real class has it, the double doesn't do it yet: extend the double."""


class Meta(type):
    """Makes a double class look like the real one, and forbids construction where the real one does."""

    _real: type
    _doubles: dict[str, type] = {}

    def __new__(mcs, name: str, bases: tuple[type, ...], space: dict[str, Any], of: type | None = None) -> type:
        return super().__new__(mcs, name, bases, space)

    def __init__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any], of: type | None = None) -> None:
        super().__init__(name, bases, space)
        if of is not None:
            cls._real = of
            Meta._doubles[of.__name__] = cls
            surplus = [key for key in space if not key.startswith("_") and not hasattr(of, key)]
            for key in surplus:  # the release at hand lacks it: the double must too
                type.__delattr__(cls, key)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        real = type.__getattribute__(cls, "_real")
        if not signatures.overloads(real.__init__.__doc__, "__init__"):
            raise TypeError(f"{label(real)}: No constructor defined!")
        made = object.__new__(cls)
        made._setup(*check(real, "__init__", real.__init__.__doc__, args, kwargs))
        return made

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("_") or name == "mro":
            return super().__getattribute__(name)
        real = super().__getattribute__("_real")
        if not hasattr(real, name):
            raise AttributeError(f"type object '{label(real)}' has no attribute '{name}'")
        try:
            return super().__getattribute__(name)
        except AttributeError:
            return getattr(real, name)


class Checked(metaclass=Meta):
    """The base of all doubles."""

    _real: type = object

    @classmethod
    def _make(cls, *args: Any, **kwargs: Any) -> Any:
        """An object as TensorRT itself would hand it out."""
        made = object.__new__(cls)
        made._setup(*args, **kwargs)
        return made

    def _setup(self) -> None:
        """What a constructor would do."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        real = type(self)._real
        if not hasattr(real, name):
            raise AttributeError(f"'{label(real)}' object has no attribute '{name}'")
        theirs = getattr(real, name)
        try:
            ours = object.__getattribute__(self, name)
        except AttributeError:
            return _undone(self, real, name, theirs)
        return ours if isinstance(theirs, property) or not callable(theirs) else _wrap(real, name, theirs, ours)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        real = type(self)._real
        theirs = getattr(real, name, None)
        if not isinstance(theirs, property):
            raise AttributeError(f"'{label(real)}' object has no attribute '{name}'")
        if theirs.fset is None:
            raise AttributeError(f"can't set attribute '{name}' of '{label(real)}'")
        (value,) = check(real, name, theirs.fset.__doc__, (value,), {}, documented="", none=True)
        ours = type.__getattribute__(type(self), "__dict__").get(name)
        if isinstance(ours, property):
            if ours.fset is None:
                raise NotDoubled(f"{label(real)}.{name} can be set in truth, not on the double")
            ours.fset(self, value)
        else:
            object.__setattr__(self, name, value)


def _undone(double: Checked, real: type, name: str, theirs: Any) -> Any:
    raise NotDoubled(f"{label(real)}.{name} exists, but the double doesn't do it yet")


def _wrap(real: type, name: str, theirs: Any, ours: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return ours(*check(real, name, theirs.__doc__, args, kwargs))

    call.__name__ = name
    return call


def check(real: type, name: str, doc: str | None, args: tuple[Any, ...], kwargs: dict[str, Any], *,
          documented: str | None = None, none: bool = False) -> list[Any]:
    """The arguments in order, if any overload takes them; else TypeError, in words like pybind11's.

    Args:
        real: the class that has the function.
        name: the function's or property's name.
        doc: its docstring.
        args: positional arguments as given.
        kwargs: keyword arguments as given.
        documented: the name that the docstring calls it by, if it is another.
        none: a None is taken too, as setters of pointers do.
    """
    known = signatures.overloads(doc, name if documented is None else documented)
    if not known:
        return [*args, *kwargs.values()]
    reasons = []
    for overload in known:
        bound = signatures.bind(overload, args, kwargs)
        reason = bound if isinstance(bound, str) else _mistyped(overload, bound, none)
        if reason is None:
            return _in_order(overload, bound)
        reasons.append(f"{overload.text}: {reason}")
    raise TypeError(f"{label(real)}.{name}(): incompatible function arguments. " + "; ".join(reasons))


def _in_order(overload: signatures.Overload, bound: dict[str, Any]) -> list[Any]:
    """Positions up to the last argument given; an argument left out before it is None."""
    names = [parameter.name for parameter in overload.parameters]
    last = max((names.index(name) for name in bound), default=-1)
    return [bound.get(name) for name in names[:last + 1]]


def _mistyped(overload: signatures.Overload, bound: dict[str, Any], none: bool) -> str | None:
    for parameter in overload.parameters:
        if parameter.name not in bound:
            continue
        value = bound[parameter.name]
        if value is None and (parameter.default == "None" or (none and "I" in parameter.type)):
            continue
        if not fits(value, parameter.type, lookup):
            return f"{parameter.name} must be {parameter.type}, not {type(value).__name__} {value!r:.80}"
    return None


REAL: Any = None
"""The real module; set once, when the doubles are made."""


def lookup(kind: str) -> type | None:
    """A class of TensorRT by the name that a docstring gives it: the double where there is one, else the real class."""
    path = kind.split("::")[-1] if "::" in kind else kind.replace("tensorrt_bindings.", "").removeprefix("tensorrt.")
    found: Any = Meta._doubles.get(path)
    if found is not None:
        return found
    found = REAL
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) else None


def label(real: type) -> str:
    return f"tensorrt.{real.__qualname__}"


__all__ = ["Checked", "Meta", "NotDoubled", "check", "label", "lookup"]
