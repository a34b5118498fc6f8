"""Outputs that stay on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cuda.memory import download
from ..cuda.stream import Stream
from .ports import Shape


class DeviceOutput:
    """An output on the device, taken without a copy by all that knows `__cuda_array_interface__` (torch, CuPy, numba).

    It is the engine's own memory: good until the next call of the runner by the same thread, or until the runner is
    closed. Whoever keeps it longer makes a copy: `torch.as_tensor(output, device="cuda").clone()`.

    Args:
        address: on the device.
        dtype: of the array.
        shape: of the array.
        stream: handle of the stream that computes it, if it may still be at it; None: it is there.
        owner: kept alive by this.
    """

    def __init__(self, address: int, dtype: np.dtype[Any], shape: Shape, stream: int | None, owner: object) -> None:
        self.address, self.dtype, self.shape, self.stream = address, dtype, shape, stream
        self._owner = owner

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3. Names the stream: 1 stands for the default stream, whose handle 0 the interface forbids."""
        facts: dict[str, Any] = {"shape": self.shape, "typestr": self.dtype.str, "data": (self.address, False),
                                 "strides": None, "version": 3}
        return facts if self.stream is None else facts | {"stream": self.stream or 1}

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy on the host, complete when this returns."""
        stream = Stream.borrowed(self.stream if self.stream is not None else 1)
        answer = np.empty(self.shape, self.dtype)
        download(answer, self.address, stream)
        stream.synchronize()
        return answer

    def __repr__(self) -> str:
        """Shape and dtype; the content stays on the device."""
        return f"DeviceOutput(shape={self.shape}, dtype={self.dtype})"


__all__ = ["DeviceOutput"]
