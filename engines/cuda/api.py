"""The one door to the CUDA runtime: functions are called by name, and every error of theirs becomes an exception.

Only functions whose arguments and values are the same from cuda-python 12.6 to 13 are called in this folder.
"""

from __future__ import annotations

from contextlib import suppress
from types import ModuleType
from typing import Any

from ...common.errors import TwofourError
from ...common.lazy import require

_loaded: ModuleType | None = None  # tests put a simulated one here


class CudaError(TwofourError):
    """A CUDA call failed.

    Args:
        what: see `TwofourError`.
        where: see `TwofourError`.
        fix: see `TwofourError`.
        function: the function of the runtime that failed. Defaults to unknown.
        error: CUDA's name of the error, such as `cudaErrorInvalidValue`. Defaults to none: the call was not answered.
    """

    exit_code = 4

    def __init__(
        self, what: str, *, where: str | None = None, fix: str | None = None, function: str = "", error: str = ""
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.function, self.error = function, error


class OutOfMemoryError(CudaError):
    """Memory on the device, or page-locked memory on the host, could not be had.

    Attributes:
        asked: bytes asked for; None where CUDA doesn't say.
        free: bytes that were free at that moment; None where unknown.
    """

    asked: int | None = None
    free: int | None = None


def runtime() -> ModuleType:
    """The module `cuda.bindings.runtime`.

    Raises:
        MissingError: cuda-python is not installed, or broken.
    """
    global _loaded
    if _loaded is None:
        _loaded = require("cuda.bindings.runtime", extra="tensorrt", purpose="Working on an NVIDIA GPU")
    return _loaded


def call(name: str, *arguments: Any) -> Any:
    """Call a function of the CUDA runtime.

    Args:
        name: such as `cudaMalloc`.
        arguments: as the function takes them.

    Returns:
        None, the one value, or a tuple of the values that it gives beside its error code.

    Raises:
        OutOfMemoryError: it gave `cudaErrorMemoryAllocation`.
        CudaError: it gave any other error, or could not be called since the driver is missing.
        MissingError: see `runtime`.
    """
    cuda = runtime()
    try:
        error, *values = getattr(cuda, name)(*arguments)
    except RuntimeError as reason:  # cuda-python before 12.9 raises it where the driver is missing
        raise CudaError(f"{name} could not be called ({reason}).", function=name) from reason
    if error != cuda.cudaError_t.cudaSuccess:
        raise _failure(name, error)
    return None if not values else values[0] if len(values) == 1 else tuple(values)


def _failure(name: str, error: Any) -> CudaError:
    """The exception for an error code, which the runtime is made to forget: else the next to ask would stumble on it.

    TensorRT and torch ask for the last error after a kernel's launch, and would blame the kernel.
    """
    word, text = str(error.name), ""
    runtime().cudaGetLastError()
    with suppress(RuntimeError):  # see `call`
        text = runtime().cudaGetErrorString(error)[1].decode()
    kind = OutOfMemoryError if word == "cudaErrorMemoryAllocation" else CudaError
    return kind(f"{name} failed: {word}{f' ({text})' if text else ''}.", function=name, error=word)


__all__ = ["CudaError", "OutOfMemoryError", "call", "runtime"]
