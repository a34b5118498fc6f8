from __future__ import annotations

import json
import time

import numpy as np
import onnx
import pytest

from twofour.common.errors import GateError, UserError
from twofour.engines.config import OnnxRuntimeConfig, ProfileConfig
from twofour.engines.folder import require
from twofour.engines.profile import PER_BATCH, profile, profile_engine, profile_model
from twofour.engines.records import ProfileRecord

QUICK = {"batch": [1, 3], "seconds": 0.02, "runs": 12, "warmup": 0.0}
X = {"x": np.ones((2, 3), np.float32)}


class Sleeper:
    """Takes a known time for each sample, and nothing beyond `most` of them."""

    def __init__(self, seconds: float, most: int = 100) -> None:
        self.seconds, self.most, self.batches = seconds, most, set()

    def infer(self, inputs):
        batch = len(inputs["x"])
        if batch > self.most:
            raise ValueError("Got invalid dimensions")
        self.batches.add(batch)
        end = time.perf_counter() + self.seconds * batch
        while time.perf_counter() < end:
            pass
        return {}

    def close(self):
        pass


def test_each_arm_at_each_batch_and_the_ratio_between_them():
    arms, steps = {"int8": Sleeper(1e-4), "fp32": Sleeper(3e-4)}, []
    found = profile("onnxruntime", arms, X, ProfileConfig(**QUICK), steps.append)
    assert [(one.arm, one.batch) for one in found.latencies] == [("int8", 1), ("fp32", 1), ("int8", 3), ("fp32", 3)]
    assert all(one.runs == len(one.samples_ms) >= 12 for one in found.latencies)
    assert found.latencies[3].min == pytest.approx(0.9, rel=0.1)
    assert found.latencies[2].throughput == pytest.approx(3000 / found.latencies[2].mean)
    assert [(one.arm, one.baseline, one.verdict) for one in found.ratios] == [("int8", "fp32", "faster")] * 2
    assert found.ratios[0].speedup == pytest.approx(3, rel=0.5)
    assert arms["int8"].batches == {1, 3}
    assert sum(steps) == 2 * PER_BATCH
    assert found.machine["threads"] >= 1


def test_a_batch_that_is_refused_is_named_before_anything_is_timed():
    arms = {"int8": Sleeper(1e-4), "fp32": Sleeper(1e-4, most=1)}
    with pytest.raises(UserError, match="fp32 refuses a batch of 3: Got invalid dimensions"):
        profile("onnxruntime", arms, X, ProfileConfig(**QUICK), lambda steps: pytest.fail("timed"))


def test_gates_are_recorded_with_what_was_measured():
    config = ProfileConfig(**QUICK, max_latency_ms=5, min_speedup=10)
    found = profile("onnxruntime", {"int8": Sleeper(1e-4), "fp32": Sleeper(3e-4)}, X, config)
    assert {gate.name: gate.met for gate in found.gates} == {"max_latency_ms": True, "min_speedup": False}
    assert found.gates[1].value == found.ratios[0].low < found.ratios[0].speedup
    with pytest.raises(GateError, match=r"min_speedup is .*, the limit is 10"):
        require(found.gates)
    require(found.gates[:1])


def test_a_gate_on_a_ratio_needs_two_arms():
    with pytest.raises(UserError, match="no baseline"):
        profile("onnxruntime", {"m": Sleeper(1e-4)}, X, ProfileConfig(**QUICK, min_speedup=2))


def test_an_engine_folder(engine, plain_backend, capsys):
    found = profile_engine(engine, ProfileConfig(**QUICK))
    written = json.loads((engine / "profile" / "profile.json").read_text())
    assert ProfileRecord.model_validate(written) == found
    assert {one.arm for one in found.latencies} == {"int8", "fp32"}
    assert found.machine["threads"] == 1
    assert "profile" in capsys.readouterr().err


def test_an_engine_of_another_bundle_is_refused(engine, bundle, plain_backend):
    manifest = bundle / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"name": "digits"', '"name": "other"'))
    with pytest.raises(UserError, match="built from another bundle"):
        profile_engine(engine, ProfileConfig(**QUICK))
    with pytest.raises(UserError, match="isn't there"):
        profile_engine(engine, ProfileConfig(**QUICK), bundle / "nowhere")
    assert not (engine / "profile").exists()


def test_a_plain_model(tmp_path, network, plain_backend):
    onnx.save(network.onnx(), str(tmp_path / "deployed.onnx"))
    found = profile_model(tmp_path / "deployed.onnx", ProfileConfig(**QUICK), OnnxRuntimeConfig())
    assert [one.arm for one in found.latencies] == ["deployed", "deployed"]
    assert found.ratios == []
