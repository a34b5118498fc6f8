"""Memory on the device, page-locked memory on the host, and the copies between them."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .api import CudaError, OutOfMemoryError, call, runtime
from .resource import Resource
from .stream import Stream

Array = np.ndarray[Any, Any]


class _Buffer(Resource):
    """Bytes at an address."""

    def __init__(self, nbytes: int, address: int) -> None:
        super().__init__(address)
        self.nbytes = nbytes

    @property
    def address(self) -> int:
        """Where the bytes begin.

        Raises:
            ValueError: the buffer is closed.
        """
        return int(self._open)


class DeviceBuffer(_Buffer):
    """Memory on the current device, with any content.

    Args:
        nbytes: bytes; 0 gives an address as well, since TensorRT takes no null.

    Raises:
        OutOfMemoryError: the device has not as much left; says how much was asked for and how much was free.
    """

    def __init__(self, nbytes: int) -> None:
        try:
            super().__init__(nbytes, call("cudaMalloc", max(nbytes, 1)))
        except OutOfMemoryError as error:
            raise _refused(nbytes, _free_on_device(), "the GPU", error) from error

    def _release(self, held: int) -> None:
        call("cudaFree", held)


class PinnedBuffer(_Buffer):
    """Page-locked memory on the host: copies to and from it run beside the host's own work, and at full speed.

    Args:
        nbytes: bytes.

    Raises:
        OutOfMemoryError: the host can't lock as much; says how much was asked for and how much was free.
    """

    def __init__(self, nbytes: int) -> None:
        try:
            super().__init__(nbytes, call("cudaHostAlloc", max(nbytes, 1), runtime().cudaHostAllocDefault))
        except OutOfMemoryError as error:
            raise _refused(nbytes, _free_on_host(), "page-locked memory of the host", error) from error

    def array(self, dtype: DTypeLike, shape: Sequence[int]) -> Array:
        """The first bytes as an array, without a copy. It must not be touched after `close`.

        Raises:
            ValueError: the buffer is smaller than the array, or closed.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > self.nbytes:
            raise ValueError(f"An array of {size} bytes doesn't fit into {self.nbytes}.")
        content: Any = (ctypes.c_byte * max(self.nbytes, 1)).from_address(self.address)
        found: Array = np.frombuffer(content, np.uint8)[:size].view(dtype).reshape(shape)
        return found

    def _release(self, held: int) -> None:
        call("cudaFreeHost", held)


def upload(address: int, array: Array, stream: Stream) -> None:
    """Put a copy from the host to the device on the stream.

    Args:
        address: on the device, with room for the array.
        array: C-contiguous. If it is page-locked it must live and keep its content until the copy is done.
        stream: which the copy runs on.

    Raises:
        ValueError: the array is not contiguous.
        CudaError: CUDA refuses.
    """
    _copy(address, array.ctypes.data, array, runtime().cudaMemcpyKind.cudaMemcpyHostToDevice, stream)


def download(array: Array, address: int, stream: Stream) -> None:
    """Put a copy from the device to the host on the stream.

    Args:
        array: C-contiguous and writeable; has its content once the stream is synchronized.
        address: on the device.
        stream: which the copy runs on.

    Raises:
        ValueError: the array is not contiguous, or read-only.
        CudaError: CUDA refuses.
    """
    if not array.flags.writeable:
        raise ValueError("The array is read-only.")
    _copy(array.ctypes.data, address, array, runtime().cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)


def _copy(target: int, source: int, array: Array, kind: Any, stream: Stream) -> None:
    if not array.flags.c_contiguous:
        raise ValueError("The array is not contiguous.")
    if array.nbytes:
        call("cudaMemcpyAsync", target, source, array.nbytes, kind, stream.handle)


def _refused(asked: int, free: int | None, where: str, cause: CudaError) -> OutOfMemoryError:
    left = "" if free is None else f", of which {_mib(free)} are free ({free} bytes)"
    error = OutOfMemoryError(
        f"{_mib(asked)} ({asked} bytes) don't fit into {where}{left}.", function=cause.function, error=cause.error,
        fix="Use a smaller batch, or end what else uses that memory.",
    )
    error.asked, error.free = asked, free
    return error


def _free_on_device() -> int | None:
    with suppress(CudaError):
        return int(call("cudaMemGetInfo")[0])
    return None


def _free_on_host() -> int | None:
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return None


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


__all__ = ["DeviceBuffer", "PinnedBuffer", "download", "upload"]
