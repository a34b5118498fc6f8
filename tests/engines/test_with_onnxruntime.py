"""The real backend through build, profile, validate and inspect."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.engines.backend import find
from twofour.engines.config import OnnxRuntimeConfig, ProfileConfig, ValidateConfig
from twofour.engines.inspect import inspect
from twofour.engines.profile import profile_engine, profile_model
from twofour.engines.validate import validate_engine

ONE = OnnxRuntimeConfig(threads=1)
QUICK = ProfileConfig(batch=[1, 5], seconds=0.02, runs=12, warmup=0.0)


@pytest.fixture
def built(bundle, network, tmp_path):
    """Built from a bundle whose quantizers are int8, as the exporters write them."""
    onnx.save(network.onnx(dtype=np.int8), str(bundle / bundles.MODEL))
    content = files.read_json(bundle / bundles.MANIFEST)
    content["files"] = files.hashes(bundle, list(content["files"]))
    files.write_json(bundle / bundles.MANIFEST, content)
    folder = tmp_path / "engines" / "built"
    find("onnxruntime").build(bundles.read(bundle), ONE, folder)
    return folder


def test_validated(built, bundle):
    found = validate_engine(built, bundle, ValidateConfig(min_snr_db=30))
    assert all(gate.met for gate in found.gates)
    assert found.agreement.predictions == 1
    at = {one.tensor: one for one in found.layers}
    assert list(at) == ["fc1.input_quantizer", "fc2.input_quantizer", "logits"]
    assert at["fc1.input_quantizer"].codes_differ == 0
    assert at["fc2.input_quantizer"].codes_differ < 0.005


def test_profiled(built, bundle):
    found = profile_engine(built, QUICK, bundle)
    assert [(one.arm, one.batch) for one in found.latencies] == [("int8", 1), ("fp32", 1), ("int8", 5), ("fp32", 5)]
    assert all(np.isfinite([one.p50, one.p99, one.throughput]).all() for one in found.latencies)
    alone = profile_model(built / "engine.onnx", QUICK, ONE)
    assert [one.arm for one in alone.latencies] == ["engine", "engine"]


def test_inspected(built):
    found = inspect(built)
    assert [(layer.name, layer.quantized, layer.two_four) for layer in found.layers] == [
        ("fc1", True, False), ("fc2", True, False),
    ]
    assert [layer.evidence is not None for layer in found.layers] == [True, True]
    assert found.findings == []
