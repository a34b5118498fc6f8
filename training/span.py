"""The least and the largest value of the pictures that a network should make."""

from __future__ import annotations

from contextlib import suppress
from weakref import WeakKeyDictionary

from ..common.errors import UserError
from .checks import checked
from .loaders import Data

Span = tuple[float, float]
_known: WeakKeyDictionary[Data, Span] = WeakKeyDictionary()


def span_of(data: Data) -> Span:
    """What the data says, or else what the targets of its validation loader hold, read once.

    Raises:
        UserError: the loader can't be used, or its targets are no pictures, or all have one value.
    """
    said: Span | None = getattr(data, "span", None)
    if said is not None:
        return _whole(float(said[0]), float(said[1]))
    with suppress(TypeError):  # not every object can be remembered
        if (found := _known.get(data)) is not None:
            return found
    found = _read(data)
    with suppress(TypeError):
        _known[data] = found
    return found


def _read(data: Data) -> Span:
    low, high = float("inf"), float("-inf")
    for index, _, targets in checked(data.val, "val"):
        if targets.ndim < 3 or not targets.is_floating_point():
            raise UserError(
                f"The targets are {targets.dtype} of shape {tuple(targets.shape)}, and no pictures.",
                where=f"val loader, batch {index}",
                fix="Give float pictures (N, channels, H, W), or metric `accuracy`.",
            )
        low, high = min(low, float(targets.min())), max(high, float(targets.max()))
    return _whole(low, high)


def _whole(low: float, high: float) -> Span:
    if not low < high:
        raise UserError(f"The pictures' values go from {low:g} to {high:g}.", where="data: span",
                        fix="Give the least and the largest value that a picture can have, two finite numbers.")
    return low, high


__all__ = ["Span", "span_of"]
