"""The ready recipes, run as they are (but for shorter timing), reach what they promise."""

import json
from pathlib import Path

import pytest

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "drop", "dense"), [
    ("digits-resnet", 0.01, 0.98), ("digits-vit", 0.015, 0.96), ("digits-vit-gpusq", 0.015, 0.96),
])
def test_a_ready_recipe_keeps_its_promise(twofour, tmp_path, name, drop, dense):
    run = tmp_path / "run"
    code = twofour("run", RECIPES / f"{name}.yaml", "--out", run, "--set", "profile.seconds=0.2", "--quiet")
    summary = json.loads((run / "summary.json").read_text())
    engine = summary["engines"]["onnxruntime-cpu"]
    before = summary["stages"]["dense"]["metrics"]["accuracy"]
    assert before >= dense
    assert engine["validation"]["value"] >= before - drop
    assert engine["validation"]["agreement"]["predictions"] >= 0.995
    assert engine["two_four_share"] > 0.95
    assert code == 0


@pytest.mark.slow
def test_the_generator_s_recipe_keeps_its_promise(twofour, tmp_path):
    run = tmp_path / "run"
    code = twofour("run", RECIPES / "digits-gan.yaml", "--out", run, "--set", "profile.seconds=0.2", "--quiet")
    summary = json.loads((run / "summary.json").read_text())
    engine, dense = summary["engines"]["onnxruntime-cpu"], summary["stages"]["dense"]["metrics"]["ssim"]
    assert dense >= 0.7
    assert engine["validation"]["value"] >= dense - 0.02
    assert engine["validation"]["agreement"]["ssim"] >= 0.995
    assert engine["two_four_share"] > 0.95
    assert "data:image/png;base64," in (run / "report.html").read_text()
    assert code == 0


def test_every_ready_recipe_is_run():
    names = {path.stem for path in RECIPES.glob("*.yaml")}
    assert names == {"digits-resnet", "digits-vit", "digits-vit-gpusq", "digits-gan"}
