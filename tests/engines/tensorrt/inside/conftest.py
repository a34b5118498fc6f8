"""Inside the process that has the real bindings of one release: torch is forbidden, `tensorrt` is the working double.

How to use it stands in `doubles/state.py` (knobs and records) and `doubles/checked.py` (what is checked).
"""

from __future__ import annotations

import gc
import importlib.abc
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


class Forbidden(importlib.abc.MetaPathFinder):
    """An edge machine has none of these."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "modelopt"):
            raise ModuleNotFoundError(f"{name} is forbidden in the code of an edge machine", name=name)


sys.meta_path.insert(0, Forbidden())
assert not {"torch", "modelopt", "torchvision"} & set(sys.modules)

import tensorrt as real  # noqa: E402
from doubles.models import convolutional, two_four_network  # noqa: E402
from doubles.module import make  # noqa: E402

DOUBLE = make(real)


def pytest_collection_finish(session):
    """What was imported is left alone by the garbage collector, which the stopwatch calls in every round."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's own timing caches and key."""
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))


@pytest.fixture(autouse=True)
def no_flush(monkeypatch):
    """Nothing here has to outlive a power cut, and waiting for the disk takes a sixth of all tests' time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def trt(monkeypatch):
    """The module double, as `capabilities.tensorrt()` gives it; `trt.double` has its knobs and records.

    A test fails if a callback of ours raised, or answered what TensorRT doesn't take; clear
    `trt.double.callback_errors` where that was meant.
    """
    DOUBLE.double.reset()
    monkeypatch.setitem(sys.modules, "tensorrt", DOUBLE)
    yield DOUBLE
    errors = list(DOUBLE.double.callback_errors)
    DOUBLE.double.reset()
    assert errors == []


@pytest.fixture
def cuda(load, monkeypatch):
    """The simulated CUDA runtime; all that was allocated must be given back."""
    simulated = load("engines/cuda/simulated.py").install(monkeypatch)
    yield simulated
    simulated.assert_released()


@pytest.fixture
def gpu(trt, cuda):
    """Both, joined: executions run on simulated streams and touch simulated memory only. Gives the `Device`."""
    from twofour.engines.cuda.device import device

    trt.double.enqueue = lambda handle, work, milliseconds: cuda.launch(handle, work, milliseconds)
    trt.double.capturing = lambda handle: bool(cuda._stream(handle).capture)
    trt.double.lend = lambda raw: _lend(cuda, raw)
    trt.double.memory = lambda address, count: cuda.bytes_at(address, count)
    trt.double.compute_capability, trt.double.gpu = cuda.compute_capability, cuda.devices[0]
    return device()


def _lend(cuda, raw):
    """Bytes on the simulated device, until they are taken away: who reads them later is refused."""
    address = cuda._allocate("device memory", len(raw))
    cuda.bytes_at(address, len(raw))[:] = list(raw)
    return address, lambda: cuda._memory.pop(address)


@pytest.fixture
def torn(trt):
    """TensorRT's callbacks may fail in this test."""
    yield trt.double.callback_errors
    trt.double.callback_errors.clear()


@pytest.fixture(scope="session")
def shared(load):
    """The helpers of tests/engines/conftest.py: Network, write_bundle, digits, quantizer, ..."""
    return load("engines/conftest.py")


@pytest.fixture(scope="session")
def sparse_network(network, shared):
    """The network of tests/engines, as TensorRT takes it: activations in INT8; the first weight 2:4."""
    return two_four_network(network, shared)


@pytest.fixture
def trt_bundle(tmp_path, sparse_network, shared):
    """A bundle of `sparse_network`: input `x` (batch, 64), output `logits` (batch, 10), layers `fc1` (2:4), `fc2`."""
    return shared.write_bundle(tmp_path / "bundle", sparse_network)


@pytest.fixture(scope="session")
def conv_model():
    """An ONNX with Q/DQ: `stem` (3 channels), `body` (2:4, INT8 out), `grouped`, `wide` (2:4), `head` (Gemm, 2:4)."""
    return convolutional()

