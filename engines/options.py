"""An engine's options as `twofour build` takes them, and back."""

from __future__ import annotations

from typing import Any

from ..common.errors import UserError
from .config import OnnxRuntimeConfig, ShapeRange, TensorRTConfig

_ENDS = ("min", "opt", "max")


def arguments(options: OnnxRuntimeConfig | TensorRTConfig) -> list[str]:
    """What differs from the defaults, as arguments of `twofour build`."""
    given = options.model_dump(mode="json", exclude_defaults=True, exclude={"backend", "optional", "shapes"})
    found = [word for name, value in given.items() for word in _words(name.replace("_", "-"), value)]
    shapes = options.shapes if isinstance(options, TensorRTConfig) else {}
    return found + [word for name, range_ in shapes.items() for word in ("--shape", f"{name}={shown(range_)}")]


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", str(value)]


def shown(range_: ShapeRange) -> str:
    """`1x3x32x32:8x3x32x32:64x3x32x32`: smallest, most used and largest shape."""
    return ":".join("x".join(map(str, shape)) for shape in (range_.min, range_.opt, range_.max))


def shapes_of(words: list[str]) -> dict[str, Any]:
    """`NAME=MIN:OPT:MAX`, or `NAME=SHAPE` for all three, as settings; the numbers are joined by `x`.

    Raises:
        UserError: it is written otherwise.
    """
    return dict(_range(word) for word in words)


def _range(word: str) -> tuple[str, dict[str, list[int]]]:
    name, found, text = word.rpartition("=")
    shapes = text.split(":")
    try:
        sizes = [[int(size) for size in shape.split("x")] for shape in shapes]
    except ValueError:
        sizes = []
    if not found or not name or len(sizes) not in (1, 3):
        raise UserError(f"{word!r} is no range of shapes.", where="--shape",
                        fix="Write NAME=MIN:OPT:MAX, such as x=1x3x224x224:8x3x224x224:64x3x224x224.")
    return name, dict(zip(_ENDS, sizes * 3 if len(sizes) == 1 else sizes, strict=True))


__all__ = ["arguments", "shapes_of", "shown"]
