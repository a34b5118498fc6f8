"""A network that makes pictures, from the recipe to the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twofour.common import bundle as bundles
from twofour.common.files import load_npz, read_json
from twofour.common.images import frechet_distance, ssim
from twofour.engines.records import ValidationRecord

MENDER = {
    "name": "mender",
    "model": {"factory": "picture_networks:Mender"},
    "data": {"factory": "picture_networks:noisy_digits"},
    "training": [
        {"stage": "dense", "epochs": 2, "optimizer": {"name": "adamw", "lr": 0.01}},
        {"stage": "sparse", "epochs": 1, "distill": {"teacher": "dense"}},
        {"stage": "qat", "epochs": 1},
    ],
    "validate": {"metric": "ssim", "max_drop": 0.3, "min_agreement": 0.99},
}
DENSE = {"stage": "dense", "epochs": 1}
MAKER = {
    "name": "maker",
    "model": {"factory": "picture_networks:Maker"},
    "data": {"factory": "picture_networks:digits_of_noise"},
    "training": [
        {"stage": "dense", "epochs": 0},
        {"stage": "sparse", "epochs": 1, "distill": {"teacher": "dense", "weight": 1}},
        {"stage": "qat", "epochs": 1, "distill": {"teacher": "sparse", "weight": 1}},
    ],
    "validate": {"metric": "feature_distance", "max_drop": 0.5, "min_agreement": 0.99},
}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])


def judged(run: Path) -> ValidationRecord:
    return ValidationRecord.model_validate(read_json(run / "engines/onnxruntime-cpu/validate/validation.json"))


@pytest.mark.slow
def test_pairs_of_pictures_go_down_the_whole_pipeline(twofour, recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert twofour("run", recipe(**MENDER), "--out", run, "--quiet") == 0
    shown = capsys.readouterr().out
    assert "ssim" in shown
    assert "pictures beside PyTorch's" in shown
    assert "accuracy" not in shown
    source = bundles.read(run / "bundle")
    assert {"features.npz", "pictures.npz"} <= source.manifest.files.keys()
    held, reference = load_npz(source.folder / "eval.npz"), load_npz(source.folder / "reference.npz")
    assert source.manifest.span == (held["targets"].min(), held["targets"].max())
    shown = load_npz(source.folder / "pictures.npz")
    assert np.array_equal(shown["pytorch"], reference["outputs/logits"][:8])
    assert np.array_equal(shown["input"], reference["inputs/x"][:8])
    found = judged(run)
    assert (found.metric, found.options.metric, found.agreement.predictions) == ("ssim", "ssim", None)
    assert found.agreement.ssim > 0.99
    assert found.value == pytest.approx(found.pytorch_value, abs=0.01)
    assert found.feature_distances.keys() == {"engine", "pytorch", "dense"}
    assert {gate.name: gate.value for gate in found.gates} == pytest.approx(
        {"max_drop": found.dense_value - found.value, "min_agreement": found.agreement.ssim})
    engine = load_npz(run / "engines/onnxruntime-cpu/validate/samples.npz")["pictures"]
    assert ssim(engine, shown["pytorch"], 2.0).min() > 0.99
    outputs = read_json(run / "engines/onnxruntime-cpu/validate/stage.json")["outputs"]
    assert any(name.endswith("samples.npz") for name in outputs)
    assert (run / "report.html").read_text().count("data:image/png;base64,") == 5 * 8
    sparse = read_json(run / "sparse/metrics.json")
    assert {"ssim", "feature_distance", "one_shot_ssim"} <= sparse.keys()
    assert twofour("package", run / "bundle", "--triton", tmp_path / "models", "--quiet") == 0
    assert twofour("validate", run / "bundle", "--no-gates", "--quiet") == 0


@pytest.mark.slow
def test_pictures_of_noise_are_measured_by_their_distance(twofour, recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert twofour("run", recipe(**MAKER), "--out", run, "--quiet") == 0
    assert "feature distance" in capsys.readouterr().out
    source, found = bundles.read(run / "bundle"), judged(run)
    held, features = load_npz(source.folder / "eval.npz"), source.features
    assert found.value == found.feature_distances["engine"]
    assert found.gates[0].value == pytest.approx((found.value - found.dense_value) / found.dense_value)
    real = features(held["targets"])
    assert frechet_distance(real, real) < 1e-9 < found.value
    assert "input" not in load_npz(source.folder / "pictures.npz")
    page = (run / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4 * 8
    assert "Sample 1: Real" in page
    summary = json.loads((run / "summary.json").read_text())
    assert summary["stages"]["dense"]["metrics"].keys() == {"feature_distance"}


@pytest.mark.parametrize(("base", "changes", "said"), [
    (MENDER, {"validate": {}}, "validate.metric: accuracy: The data is measured by ssim."),
    (MENDER, {"validate": {"metric": "feature_distance"}}, "measured by ssim"),
    (MENDER, {"validate": {"metric": "psnr"}}, "validate.metric"),
    (MENDER, {"data": {"factory": "twofour.training.data:digits"}}, "The data is measured by accuracy"),
    (MENDER, {"data": {"factory": "picture_networks:noisy_digits", "args": {"metric": "beauty"}}}, "called 'beauty'"),
    (MENDER, {"data": {"factory": "picture_networks:noisy_digits",
                       "args": {"metric": "feature_distance", "measured": False}},
              "validate": {"metric": "feature_distance"}}, "names no features"),
    (MENDER, {"training": [DENSE, {"stage": "sparse", "method": "gpusq", "gpusq": {"feature": 0}}]},
     "gpusq is a method for classifiers"),
    (MAKER, {"training": [DENSE]}, "The targets don't belong to the inputs"),
    (MAKER, {"training": [{**DENSE, "epochs": 0}, {"stage": "qat", "epochs": 1, "distill": {"teacher": "dense"}}]},
     "The targets don't belong to the inputs"),
])
def test_what_cannot_be_measured_or_learned_stops_a_run_first(twofour, recipe, tmp_path, capsys, base, changes, said):
    assert twofour("run", recipe(**{**base, **changes}), "--out", tmp_path / "run", "--quiet") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "dense").exists()
