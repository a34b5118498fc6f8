from __future__ import annotations

import os
import subprocess
import sys
from ctypes.util import find_library

import pytest

from twofour.common.errors import MissingError
from twofour.engines.cuda.device import device


def test_what_is_known_of_a_gpu(cuda):
    cuda.devices = ["NVIDIA A100", "NVIDIA H100 80GB HBM3"]
    cuda.driver = 13020
    found = device(1)
    assert (found.index, found.name, found.slug) == (1, "NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3")
    assert found.uuid == "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert (found.compute_capability, found.multiprocessors, found.integrated) == ((9, 0), 132, False)
    assert (found.memory_bytes, found.driver_cuda) == (8 << 30, "13.2")
    version = cuda.cudaRuntimeGetVersion()[1]
    assert found.runtime_cuda == f"{version // 1000}.{version % 1000 // 10}"


def trouble(index: int = 0) -> str:
    with pytest.raises(MissingError) as error:
        device(index)
    assert error.value.exit_code == 4
    assert error.value.fix
    return str(error.value)


def test_no_driver(cuda):
    cuda.driver = 0
    cuda.fail("cudaGetDeviceCount", error="cudaErrorInsufficientDriver")
    text = trouble()
    assert "this machine has none" in text
    assert "https://www.nvidia.com/drivers" in text


def test_no_driver_as_older_bindings_say_it(cuda, monkeypatch):
    def unanswered():
        raise RuntimeError('Function "cuInit" not found')

    for name in ("cudaGetDeviceCount", "cudaDriverGetVersion"):
        monkeypatch.setattr(cuda, name, unanswered, raising=False)
    assert "this machine has none" in trouble()


@pytest.mark.parametrize("error", ["cudaErrorInsufficientDriver", "cudaErrorUnknown"])
def test_a_driver_older_than_the_runtime(cuda, error):
    cuda.driver = 11040
    cuda.fail("cudaGetDeviceCount", error=error)
    text = trouble()
    assert "made for CUDA 11.4, too old" in text
    assert "pip install 'cuda-python==11.*'" in text


def test_no_gpu(cuda, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cuda.devices = []
    text = trouble()
    assert "CUDA sees no GPU." in text
    assert "on a Jetson tegrastats" in text
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "since CUDA_VISIBLE_DEVICES is ''" in trouble()


def test_a_gpu_that_is_not_there(cuda):
    assert "There is no GPU 1: CUDA sees 1." in trouble(1)


def test_a_stub_in_the_place_of_the_driver(cuda):
    cuda.fail("cudaGetDeviceCount", error="cudaErrorStubLibrary")
    assert "LD_LIBRARY_PATH" in trouble()


def test_any_other_error_is_told(cuda):
    cuda.fail("cudaGetDeviceCount", error="cudaErrorSystemDriverMismatch")
    text = trouble()
    assert "cudaErrorSystemDriverMismatch" in text
    assert "restart" in text


def test_the_real_runtime_answers_here_with_a_gpu_or_one_paragraph():
    """The real package, in a process of its own: a broken machine must not take the tests with it."""
    code = (
        "from twofour.engines.cuda.device import device\nfrom twofour.common.errors import MissingError\n"
        "try: print(device().slug)\nexcept MissingError as error: print(error); raise SystemExit(error.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode in (0, 4), done.stderr
    assert len(done.stdout.strip().splitlines()) == 1
    if find_library("cuda") is None and not os.path.exists("/proc/driver/nvidia"):
        assert "needs NVIDIA's driver, and this machine has none" in done.stdout


def test_the_layer_imports_neither_pydantic_nor_onnx():
    rooms = ("api", "device", "nvml", "stream", "memory", "view", "graph", "stopwatch")
    code = "import sys\n" + "".join(f"import twofour.engines.cuda.{room}\n" for room in rooms)
    code += "bad = {'pydantic', 'onnx', 'torch', 'cuda', 'pynvml', 'tensorrt'} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True)
