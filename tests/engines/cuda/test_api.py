from __future__ import annotations

import sys

import pytest

from twofour.common.errors import MissingError
from twofour.engines.cuda import api
from twofour.engines.cuda.api import CudaError, OutOfMemoryError, call


def test_values_beside_the_error_code(cuda):
    assert call("cudaDeviceSynchronize") is None
    assert call("cudaGetDeviceCount") == 1
    assert call("cudaMemGetInfo") == (8 << 30, 8 << 30)


def test_an_error_says_function_name_and_text_and_is_forgotten_by_cuda(cuda):
    with pytest.raises(CudaError) as error:
        call("cudaSetDevice", 7)
    told = error.value
    assert str(told) == "cudaSetDevice failed: cudaErrorInvalidDevice (simulated cudaErrorInvalidDevice)."
    assert (told.function, told.error, told.exit_code) == ("cudaSetDevice", "cudaErrorInvalidDevice", 4)
    assert cuda.last_error == cuda.cudaError_t.cudaSuccess


def test_out_of_memory_is_its_own_error(cuda):
    with pytest.raises(OutOfMemoryError):
        call("cudaMalloc", 9 << 30)


def test_a_binding_that_finds_no_library_is_an_error_of_cuda(cuda, monkeypatch):
    def no_driver():
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(cuda, "cudaGetDeviceCount", no_driver, raising=False)
    with pytest.raises(CudaError, match=r"cudaGetDeviceCount could not be called \(Failed to dlopen"):
        call("cudaGetDeviceCount")


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(api, "_loaded", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(MissingError, match=r"pip install 'twofour\[tensorrt\]'"):
        api.runtime()
