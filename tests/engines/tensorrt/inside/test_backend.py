"""The backend as the commands use it."""

from __future__ import annotations

import onnxruntime
import pytest

from twofour.common import bundle as bundles
from twofour.common.errors import MissingError
from twofour.engines import backend as backends
from twofour.engines.build import build_engine, engine_of
from twofour.engines.config import TensorRTConfig
from twofour.engines.folder import open_engine
from twofour.engines.tensorrt import capabilities


@pytest.fixture
def backend(gpu):
    return backends.find("tensorrt")


def test_the_device_names_the_folder(backend, gpu, trt_bundle):
    assert backend.device() == gpu.slug
    folder, record = build_engine(trt_bundle, TensorRTConfig())
    assert folder.name == f"tensorrt-{gpu.slug}"
    assert open_engine(folder)[0] == record
    assert engine_of(trt_bundle, TensorRTConfig(max_batch=64)) == folder


def test_a_machine_without_gpu(backend, cuda):
    cuda.devices = []
    with pytest.raises(MissingError):
        backend.device()


def test_a_loaded_engine_answers_as_the_graph_does(backend, trt_bundle, shared):
    folder, record = build_engine(trt_bundle, TensorRTConfig())
    x = bundles.read(trt_bundle).arrays(bundles.REFERENCE, "inputs")["x"][:5]
    session = onnxruntime.InferenceSession(str(folder / "typed.onnx"), providers=["CPUExecutionProvider"])
    runner = backend.load(folder / record.engine, TensorRTConfig())
    try:
        assert runner.infer({"x": x})["logits"] == pytest.approx(session.run(["logits"], {"x": x})[0], abs=1e-2)
    finally:
        runner.close()


def test_no_capability_is_asked_of_a_release_that_is_too_old(backend, trt, monkeypatch):
    monkeypatch.setattr(trt, "__version__", "10.11.0.33")
    capabilities.tensorrt.__globals__["_check"].cache_clear()
    with pytest.raises(MissingError, match="too old"):
        backend.device()
