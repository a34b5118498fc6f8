"""Engines that make pictures: judged by how alike these are, and by their distance to real ones."""

from __future__ import annotations

import numpy as np
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.agreement import agreement
from twofour.common.bundle import Bundle, Manifest, Tensor
from twofour.common.errors import UserError
from twofour.common.images import Features, frechet_distance, ssim
from twofour.engines.config import OnnxRuntimeConfig, ValidateConfig
from twofour.engines.records import EngineRecord
from twofour.engines.validate import judge

DRAW = np.random.default_rng(0)
INPUTS = DRAW.uniform(-1, 1, (12, 1, 12, 12)).astype(np.float32)
REAL = np.clip(INPUTS + DRAW.normal(0, 0.2, INPUTS.shape), -1, 1).astype(np.float32)
FEATURES = Features(DRAW.normal(size=(144, 3)).astype(np.float32), np.zeros(3, np.float32))
RECORD = EngineRecord(
    backend="onnxruntime", device="cpu", name="p", bundle=".", bundle_digest="", options=OnnxRuntimeConfig(),
    engine="e", baseline=None, files={}, sizes={}, machine={}, layers=[], notes=[],
)


class Runner:
    def __init__(self, spoil, batches=None):
        self.spoil = spoil
        if batches:
            self.batches = batches

    def infer(self, inputs):
        return {"y": self.spoil(inputs["x"].copy())}

    def close(self):
        pass


@pytest.fixture
def source(tmp_path):
    def write(metric="ssim", features=FEATURES, **said):
        files.save_npz(tmp_path / bundles.REFERENCE, {"inputs/x": INPUTS, "outputs/y": INPUTS})
        files.save_npz(tmp_path / bundles.EVAL, {"inputs/x": INPUTS, "targets": REAL})
        names = [bundles.REFERENCE, bundles.EVAL]
        if features:
            files.save_npz(tmp_path / bundles.FEATURES, {"weight": features.weight, "bias": features.bias})
            names.append(bundles.FEATURES)
        described = Tensor(name="y", dtype="float32", shape=["batch", 1, 12, 12])
        manifest = Manifest(
            name="p", files=files.hashes(tmp_path, names), inputs=[described], outputs=[described], layers=[],
            ranges=[], metric=metric, metrics={}, versions={},
            **{"eval_metric": 0.9, "dense_eval_metric": 0.95, "span": (-1, 1), "feature_distances": {"dense": 1.5},
               "noise_floor": agreement({"y": INPUTS}, {"y": INPUTS}, 2.0), **said},
        )
        return Bundle(tmp_path, manifest)

    return write


def judged(source, spoil=lambda x: x, batches=None, **config):
    kept = []
    found = judge(RECORD, source, Runner(spoil, batches), ValidateConfig(**config), [], keep=kept.append)
    return found, kept[0]


def test_the_metric_and_the_agreement_are_those_of_pictures(source):
    found, kept = judged(source(), lambda x: x * np.float32(0.9))
    assert found.value == pytest.approx(ssim(INPUTS * np.float32(0.9), REAL, 2.0).mean())
    assert found.agreement.predictions is None
    assert found.agreement.ssim == pytest.approx(ssim(INPUTS, INPUTS * np.float32(0.9), 2.0).mean())
    assert found.feature_distances == pytest.approx(
        {"engine": frechet_distance(FEATURES(INPUTS * np.float32(0.9)), FEATURES(REAL)), "dense": 1.5})
    assert found.options.metric == "ssim"
    assert {gate.name: gate.value for gate in found.gates} == pytest.approx(
        {"max_drop": 0.95 - found.value, "min_agreement": found.agreement.ssim})
    assert np.array_equal(kept, INPUTS[:8] * np.float32(0.9))


def test_of_a_distance_the_rise_is_held_to_its_share(source):
    found, _ = judged(source("feature_distance", eval_metric=2.0, dense_eval_metric=2.0), max_drop=0.1)
    gate = found.gates[0]
    assert gate.value == pytest.approx((found.value - 2.0) / 2.0)
    assert gate.met == (gate.value <= 0.1)


def test_equal_pictures_agree_and_there_is_no_distance_without_features(source):
    found, _ = judged(source(features=None))
    assert (found.agreement.ssim, found.agreement.psnr_db, found.agreement.snr_db) == (pytest.approx(1), None, None)
    assert found.feature_distances == {}


def test_the_worst_batch_is_held_to_the_gate_and_named_by_its_likeness(source):
    found, _ = judged(source(), lambda x: x[::-1] if len(x) == 4 else x, batches=(1, 2, 4))
    assert found.agreement.ssim == pytest.approx(1)
    gate = next(gate for gate in found.gates if gate.name == "min_agreement")
    assert (gate.value, gate.met) == (found.batches[-1].agreement.ssim, False)
    assert "In batches of 4" in found.findings[0]
    assert "(SSIM 0.0" in found.findings[0]


def test_pictures_that_are_not_finite_are_the_least_alike_and_have_no_distance(source):
    found, _ = judged(source(features=None), lambda x: x * np.nan)
    assert (found.value, found.agreement.ssim, found.agreement.psnr_db) == (-1, -1, -300)
    with_features, _ = judged(source(), lambda x: x * np.nan)
    assert (with_features.value, "engine" in with_features.feature_distances) == (-1, False)
    assert not any(gate.met for gate in with_features.gates)
    with pytest.raises(UserError, match="NaN or infinity"):
        judged(source("feature_distance", eval_metric=2.0, dense_eval_metric=2.0), lambda x: x * np.nan)


@pytest.mark.parametrize(("said", "lacking"), [({"span": None}, "span"), ({"features": None}, "features.npz")])
def test_a_bundle_that_lacks_what_its_metric_needs_is_refused(source, said, lacking):
    with pytest.raises(UserError, match=lacking):
        judged(source("feature_distance", **said))


def test_damaged_features_are_named(source):
    made = source()
    files.save_npz(made.folder / bundles.FEATURES, {"weight": np.ones(3)})
    with pytest.raises(UserError, match="holds no features"):
        judged(made)


def test_records_of_before_are_read(source):
    old = judged(source())[0].model_dump(mode="json")
    for name in ("agreement", "noise_floor"):
        old[name] = {"predictions": 0.99, "snr_db": 40.0, "samples": 12}
    del old["feature_distances"]
    assert type(judged(source())[0]).model_validate(old).agreement.score == 0.99
