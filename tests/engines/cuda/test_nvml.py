from __future__ import annotations

import sys
from types import ModuleType

import pynvml
import pytest

from twofour.engines.cuda.nvml import snapshot

ABSENT = object()
KEYS = {"driver", "sm_mhz", "memory_mhz", "max_sm_mhz", "temperature_c", "power_w", "power_limit_w", "throttle"}


class Fake(ModuleType):
    """Stands for pynvml: its constants, and those functions that a test gives, all of which the real one has."""

    def __init__(self, **functions):
        super().__init__("pynvml")
        self.calls = []
        for name, answer in functions.items():
            assert hasattr(pynvml, name), name
            setattr(self, name, lambda *args, name=name, answer=answer: self._answer(name, answer, args))

    def _answer(self, name, answer, args):
        self.calls.append((name, *args))
        if isinstance(answer, Exception):
            raise answer
        return answer(*args) if callable(answer) else answer

    def __getattr__(self, name):
        value = getattr(pynvml, name)
        if callable(value):
            raise AttributeError(name)
        return value


ALL = {
    "nvmlInit": None, "nvmlShutdown": None, "nvmlSystemGetDriverVersion": "580.82.07",
    "nvmlDeviceGetHandleByPciBusId": "gpu", "nvmlDeviceGetHandleByIndex": "gpu by number",
    "nvmlDeviceGetClockInfo": lambda gpu, kind: {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619}[kind],
    "nvmlDeviceGetMaxClockInfo": 1981, "nvmlDeviceGetTemperature": 41, "nvmlDeviceGetPowerUsage": 123456,
    "nvmlDeviceGetEnforcedPowerLimit": 700000,
    "nvmlDeviceGetCurrentClocksEventReasons":
        pynvml.nvmlClocksThrottleReasonSwPowerCap | pynvml.nvmlClocksThrottleReasonGpuIdle,
}


def use(monkeypatch, **changes) -> Fake:
    fake = Fake(**{name: answer for name, answer in (ALL | changes).items() if answer is not ABSENT})
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_all_of_it(cuda, monkeypatch):
    cuda.devices *= 2
    fake = use(monkeypatch)
    assert snapshot(1) == {
        "driver": "580.82.07", "sm_mhz": 1980, "memory_mhz": 2619, "max_sm_mhz": 1981, "temperature_c": 41,
        "power_w": 123.456, "power_limit_w": 700.0, "throttle": ["power cap"],
    }
    assert ("nvmlDeviceGetHandleByPciBusId", b"0000:02:00.0") in fake.calls
    assert fake.calls[-1] == ("nvmlShutdown",)


def test_by_number_where_cuda_does_not_say_which(cuda, monkeypatch):
    cuda.fail("cudaDeviceGetPCIBusId", error="cudaErrorUnknown")
    fake = use(monkeypatch)
    assert snapshot(0)["sm_mhz"] == 1980
    assert ("nvmlDeviceGetTemperature", "gpu by number", pynvml.NVML_TEMPERATURE_GPU) in fake.calls


def test_what_is_not_supported_is_none(cuda, monkeypatch):
    unsupported = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    fake = use(monkeypatch, nvmlDeviceGetPowerUsage=unsupported, nvmlDeviceGetClockInfo=ABSENT)
    found = snapshot()
    assert set(found) == KEYS
    assert [key for key in found if found[key] is None] == ["sm_mhz", "memory_mhz", "power_w"]
    assert fake.calls[-1] == ("nvmlShutdown",)


def test_older_packages_call_it_throttling(cuda, monkeypatch):
    use(monkeypatch, nvmlDeviceGetCurrentClocksEventReasons=ABSENT,
        nvmlDeviceGetCurrentClocksThrottleReasons=pynvml.nvmlClocksThrottleReasonHwSlowdown,
        nvmlSystemGetDriverVersion=b"450.1")
    found = snapshot()
    assert (found["throttle"], found["driver"]) == (["hardware slowdown"], "450.1")


def test_no_handle(cuda, monkeypatch):
    lost = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    def fails_without(gpu, *_):
        if gpu is None:
            raise TypeError

    readers = {name: fails_without for name in ALL if "DeviceGet" in name and "Handle" not in name}
    use(monkeypatch, nvmlDeviceGetHandleByPciBusId=lost, nvmlDeviceGetHandleByIndex=lost, **readers)
    assert snapshot() == dict.fromkeys(KEYS) | {"driver": "580.82.07"}


@pytest.mark.parametrize("missing", [None, Fake(nvmlInit=pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))])
def test_no_nvml_at_all(cuda, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, "pynvml", missing)
    assert snapshot() == {}


def test_the_real_package_never_raises_here(cuda):
    assert set(snapshot()) in (set(), KEYS)
