"""Arrays that someone else has on the device (torch, CuPy, Numba), used where they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...common.errors import UserError
from .stream import Stream

_LEAST_VERSION = 2


@dataclass(frozen=True)
class View:
    """A C-contiguous array on the device.

    Attributes:
        address: of its first byte.
        shape: of the array.
        dtype: in the host's byte order.
        stream: handle of the stream that its content is made on: 1 is the legacy default stream, 2 the thread's
            default stream. None: its owner says nothing, and it is on the caller to have it ready (torch never says).
        owner: the object whose memory it is, kept alive by this.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stream: int | None
    owner: object

    @property
    def nbytes(self) -> int:
        """Size of the content in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def acquire(self, user: Stream) -> None:
        """What is put on `user` from now on finds the content complete; the host doesn't wait."""
        if self.stream is not None:
            user.wait_for(Stream.borrowed(self.stream))

    def release(self, user: Stream) -> None:
        """The owner's stream, if it is known, changes or reuses the memory only after what is on `user` now."""
        if self.stream is not None:
            Stream.borrowed(self.stream).wait_for(user)


def view_of(value: object) -> View | None:
    """What an object offers by `__cuda_array_interface__` (versions 2 and 3).

    Args:
        value: anything; for example a torch tensor on CUDA.

    Returns:
        None for an object without it, such as a NumPy array or a tensor on the CPU.

    Raises:
        UserError: it has one that can't be used as it is: not C-contiguous, masked, of a foreign byte order, of
            version 0 or 1, or a tensor that requires gradients.
    """
    try:
        facts = getattr(value, "__cuda_array_interface__", None)
    except Exception as error:  # torch raises RuntimeError for a tensor that requires grad
        raise UserError(f"This array on the GPU can't be used: {error}", fix="Give its .detach().") from error
    if facts is None:
        return None
    _check(facts)
    shape, stream = tuple(int(size) for size in facts["shape"]), facts.get("stream")
    return View(int(facts["data"][0] or 0), shape, np.dtype(facts["typestr"]), stream, value)


def _check(facts: Mapping[str, Any]) -> None:
    """Raise UserError unless the array is one plain block."""
    dtype = np.dtype(facts["typestr"])
    if facts["version"] < _LEAST_VERSION:
        trouble = f"its __cuda_array_interface__ has version {facts['version']}"
    elif facts.get("mask") is not None:
        trouble = "it is masked"
    elif not dtype.isnative:
        trouble = f"its dtype {facts['typestr']} is in another byte order than this machine's"
    elif facts.get("stream") == 0:
        trouble = "it names the stream 0, which the interface forbids since it is ambiguous"
    elif not _contiguous(facts["shape"], facts.get("strides"), dtype.itemsize):
        trouble = f"it is not C-contiguous (shape {tuple(facts['shape'])}, strides {tuple(facts['strides'])} bytes)"
    else:
        return
    raise UserError(f"This array on the GPU can't be used: {trouble}.", fix="Give a contiguous copy of it.")


def _contiguous(shape: Sequence[int], strides: Sequence[int] | None, itemsize: int) -> bool:
    if strides is None or 0 in shape:
        return True
    expected = itemsize
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


__all__ = ["View", "view_of"]
