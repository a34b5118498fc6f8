"""The GPU and its driver, or what is missing of them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ...common.errors import MissingError
from .api import CudaError, call

_DRIVER_PAGE = "https://www.nvidia.com/drivers"
_TOOL = "`nvidia-smi -L`, on a Jetson tegrastats,"  # without a GPU, nobody knows which machine it is
_CONTAINER = "in a container, start it with the GPU: docker run --gpus all"


@dataclass(frozen=True)
class Device:
    """One GPU.

    Attributes:
        index: CUDA's number of it.
        name: as NVIDIA calls it.
        uuid: as nvidia-smi writes it, `GPU-...`.
        compute_capability: such as (9, 0).
        memory_bytes: all of its memory.
        multiprocessors: number of them.
        integrated: it shares the host's memory, as Jetson's does.
        driver_cuda: the newest CUDA that the driver supports, such as "13.0".
        runtime_cuda: the CUDA that cuda-python is built for.
    """

    index: int
    name: str
    uuid: str
    compute_capability: tuple[int, int]
    memory_bytes: int
    multiprocessors: int
    integrated: bool
    driver_cuda: str
    runtime_cuda: str

    @property
    def slug(self) -> str:
        """The name as folders bear it, such as `nvidia-h100-80gb-hbm3`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "gpu"


def device(index: int = 0) -> Device:
    """Look at one GPU.

    Args:
        index: CUDA's number of it. Defaults to 0.

    Raises:
        MissingError: there is no such GPU, no driver, a driver older than cuda-python needs, or no cuda-python.
    """
    count = _count()
    if index not in range(count):
        raise MissingError(f"There is no GPU {index}: CUDA sees {count}.", fix=f"Use one from 0 to {count - 1}.")
    facts = call("cudaGetDeviceProperties", index)
    return Device(
        index=index, name=_text(facts.name), uuid=_uuid(bytes(facts.uuid.bytes)),
        compute_capability=(int(facts.major), int(facts.minor)), memory_bytes=int(facts.totalGlobalMem),
        multiprocessors=int(facts.multiProcessorCount), integrated=bool(facts.integrated),
        driver_cuda=_dotted(_version("cudaDriverGetVersion")), runtime_cuda=_dotted(_version("cudaRuntimeGetVersion")),
    )


def _count() -> int:
    try:
        count = int(call("cudaGetDeviceCount"))
    except CudaError as error:
        raise _missing(error) from error
    if count == 0:
        raise _no_gpu(_version("cudaDriverGetVersion"))
    return count


def _missing(error: CudaError) -> MissingError:
    """What the error of the first call says about the machine."""
    driver, built_for = _version("cudaDriverGetVersion"), _version("cudaRuntimeGetVersion")
    if error.error == "cudaErrorStubLibrary":
        return MissingError(
            "CUDA finds the toolkit's empty stand-in for libcuda.so instead of the driver's.",
            fix="Take the folder that ends in 'stubs' out of LD_LIBRARY_PATH.",
        )
    if error.error == "cudaErrorNoDevice":
        return _no_gpu(driver)
    if driver == 0:
        return MissingError(
            "Working on an NVIDIA GPU needs NVIDIA's driver, and this machine has none (no libcuda.so.1).",
            fix=f"Install it from {_DRIVER_PAGE}; {_CONTAINER}",
        )
    if error.error == "cudaErrorInsufficientDriver" or driver // 1000 < built_for // 1000:
        return MissingError(
            f"NVIDIA's driver on this machine is made for CUDA {_dotted(driver)}, too old for the installed "
            f"cuda-python, which is built for CUDA {_dotted(built_for)}.",
            fix=f"Install a cuda-python to suit: pip install 'cuda-python=={driver // 1000}.*'; "
            f"or a newer driver from {_DRIVER_PAGE}.",
        )
    return MissingError(
        f"The NVIDIA GPU can't be used: {error.what}",
        fix=f"See whether {_TOOL} works; if the driver was updated since the last start, restart the machine.",
    )


def _no_gpu(driver: int) -> MissingError:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return MissingError(
            f"CUDA sees no GPU, since CUDA_VISIBLE_DEVICES is {chosen!r}.",
            fix="Let it name a GPU that is there, counted from 0: export CUDA_VISIBLE_DEVICES=0",
        )
    return MissingError(
        f"NVIDIA's driver (CUDA {_dotted(driver)}) is here, but CUDA sees no GPU.",
        fix=f"See whether {_TOOL} shows one; {_CONTAINER}",
    )


def _version(function: str) -> int:
    """1000 * major + 10 * minor; 0 if there is none."""
    try:
        return int(call(function))
    except CudaError:
        return 0


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace").rstrip("\0") if isinstance(name, bytes) else name


def _uuid(value: bytes) -> str:
    digits = value.hex()
    return "GPU-" + "-".join(digits[start:end] for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


__all__ = ["Device", "device"]
