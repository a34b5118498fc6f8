"""Clocks, temperature and power of a GPU at one moment, as far as NVML tells them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from .api import call

_THROTTLES = {  # NVML's name of the bit, and ours; a GPU that idles is not throttled
    "ApplicationsClocksSetting": "application clocks",
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "sync boost",
    "SwThermalSlowdown": "software thermal slowdown",
    "HwThermalSlowdown": "hardware thermal slowdown",
    "HwPowerBrakeSlowdown": "power brake",
    "DisplayClockSetting": "display clocks",
}


def snapshot(index: int = 0) -> dict[str, Any]:
    """Look at a GPU; never raises.

    Args:
        index: CUDA's number of the GPU. Defaults to 0.

    Returns:
        `driver` (version), `sm_mhz`, `memory_mhz`, `max_sm_mhz`, `temperature_c`, `power_w`, `power_limit_w` and
        `throttle` (what holds the clocks down, a list of words); None for what can't be read, as is much on Jetson.
        Nothing at all without NVML or its package nvidia-ml-py.
    """
    try:
        nvml = import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # a missing package, a missing library, or a driver that was updated under a running system
        return {}
    try:
        handle = _handle(nvml, index)
        return {name: _read(read, nvml, handle) for name, read in _READERS.items()}
    finally:
        with suppress(Exception):
            nvml.nvmlShutdown()


def _handle(nvml: Any, index: int) -> Any:
    """NVML's handle: by the address on the bus, since NVML numbers GPUs in another order than CUDA may."""
    with suppress(Exception):
        address = call("cudaDeviceGetPCIBusId", 32, index)
        return nvml.nvmlDeviceGetHandleByPciBusId(address.split(b"\0")[0])
    with suppress(Exception):
        return nvml.nvmlDeviceGetHandleByIndex(index)
    return None


def _read(read: Callable[[Any, Any], Any], nvml: Any, handle: Any) -> Any:
    try:
        return read(nvml, handle)
    except Exception:  # each value is missing on some GPU, driver or version of the package
        return None


def _driver(nvml: Any, _: Any) -> str:
    version = nvml.nvmlSystemGetDriverVersion()
    return version.decode() if isinstance(version, bytes) else str(version)


def _throttle(nvml: Any, handle: Any) -> list[str]:
    newer = hasattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons")
    function = f"nvmlDeviceGetCurrentClocks{'Event' if newer else 'Throttle'}Reasons"
    bits = getattr(nvml, function)(handle)
    return [word for name, word in _THROTTLES.items() if bits & getattr(nvml, f"nvmlClocksThrottleReason{name}", 0)]


_READERS: dict[str, Callable[[Any, Any], Any]] = {
    "driver": _driver,
    "sm_mhz": lambda nvml, gpu: int(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
    "memory_mhz": lambda nvml, gpu: int(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)),
    "max_sm_mhz": lambda nvml, gpu: int(nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM)),
    "temperature_c": lambda nvml, gpu: int(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
    "power_w": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "power_limit_w": lambda nvml, gpu: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
    "throttle": _throttle,
}


__all__ = ["snapshot"]
