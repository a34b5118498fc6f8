"""TensorRT's two entrances, the builder and the runtime: started, or one paragraph about why they can't be."""

from __future__ import annotations

from typing import Any, Literal

from ...common.errors import MissingError
from ..cuda.advice import advice
from ..cuda.device import Device
from .capabilities import capabilities
from .logger import Log
from .module import cuda_of_package, tensorrt
from .sparsity_log import out_of_memory


def start(kind: Literal["Builder", "Runtime"], speaker: Any, log: Log, gpu: Device) -> Any:
    """A `trt.Builder` or `trt.Runtime`.

    Args:
        kind: which.
        speaker: the `trt.ILogger`.
        log: what it writes to, for the reason.
        gpu: where it will work.

    Raises:
        MissingError: it doesn't start: the driver is too old for it, or memory is short.
    """
    try:
        return getattr(tensorrt(), kind)(speaker)
    except (TypeError, RuntimeError) as error:  # pybind11 says only that it got nothing; the log says why
        reason = "; ".join(log.errors()) or str(error)
        raise MissingError(
            f"TensorRT {capabilities().version} can't start its {kind.lower()} ({reason.rstrip('.')}).",
            where=f"{gpu.name}, driver for CUDA {gpu.driver_cuda}", fix=_fix(log, gpu),
        ) from error


def _fix(log: Log, gpu: Device) -> str:
    if out_of_memory(log.texts()):
        return f"{advice(gpu).memory}."
    wanted, supported = cuda_of_package(), int(gpu.driver_cuda.split(".")[0])
    if wanted is not None and supported < wanted:
        return (f"This TensorRT is made for CUDA {wanted}. Install a driver for CUDA {wanted}, or in its place a "
                f"TensorRT for this driver: pip uninstall tensorrt tensorrt-cu{wanted} && "
                f"pip install 'tensorrt-cu{supported}>=10.12'.")
    return "See `twofour doctor`: often the driver is too old for this TensorRT, or the GPU is out of memory."


__all__ = ["start"]
