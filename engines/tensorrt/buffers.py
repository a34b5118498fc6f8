"""Memory for an engine's tensors: grown when a larger shape comes, kept for the next, given back at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..cuda.memory import DeviceBuffer, PinnedBuffer
from .ports import Shape

Array = np.ndarray[Any, Any]


class Buffers:
    """A buffer on the device and a page-locked one on the host for each tensor that asks for it.

    Growing gives the old memory back first, so that the two are never held at once; CUDA waits then for all that
    still uses it.
    """

    def __init__(self) -> None:
        self._device: dict[str, DeviceBuffer] = {}
        self._host: dict[str, PinnedBuffer] = {}

    def device(self, name: str, nbytes: int) -> int:
        """Address on the device of at least so many bytes.

        Raises:
            OutOfMemoryError: the device has not as much left.
        """
        held = self._device.get(name)
        if held is None or held.nbytes < nbytes:
            _drop(self._device, name)
            held = self._device[name] = DeviceBuffer(nbytes)
        return held.address

    def host(self, name: str, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        """A page-locked array, as a view that is good until this tensor asks for more.

        Raises:
            OutOfMemoryError: the host can't lock as much.
        """
        nbytes = size_of(dtype, tuple(shape))
        held = self._host.get(name)
        if held is None or held.nbytes < nbytes:
            _drop(self._host, name)
            held = self._host[name] = PinnedBuffer(nbytes)
        return held.array(dtype, shape)

    def close(self) -> None:
        """Give all of it back, the rest too if one refuses."""
        with ExitStack() as stack:
            for held in (*self._device.values(), *self._host.values()):
                stack.callback(held.close)
            self._device, self._host = {}, {}


def _drop(held: dict[str, Any], name: str) -> None:
    if (old := held.pop(name, None)) is not None:
        old.close()


def size_of(dtype: np.dtype[Any], shape: Shape) -> int:
    """Bytes of an array."""
    return math.prod(shape) * dtype.itemsize


__all__ = ["Buffers", "size_of"]
