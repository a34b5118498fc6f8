import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow
RECIPE = {
    "name": "killed",
    "model": {"factory": "twofour.training.models:tiny_resnet", "args": {"widths": [16, 32], "blocks": 1}},
    "data": {"factory": "twofour.training.data:digits", "args": {"size": 8}},
    "training": [
        {"stage": "dense", "epochs": 4},
        {"stage": "sparse", "epochs": 4, "distill": {"teacher": "dense"}, "method": "sr_ste", "average": 0.9},
        {"stage": "qat", "epochs": 3, "distill": {"teacher": "sparse"}},
    ],
    "calibrate": {"placement": "onnxruntime"},
    "profile": {"batch": [1], "seconds": 0.2},
    "validate": {"max_drop": None, "min_agreement": None},
}
ENGINE = "engines/onnxruntime-cpu"
STAGES = ("dense", "sparse", "calibrate", "qat", "export", ENGINE, f"{ENGINE}/profile", f"{ENGINE}/validate")


def killing(recipe: Path, out: Path, kills: int, seconds: dict[str, float]) -> dict:
    command = [sys.executable, Path(__file__).with_name("killing.py"), recipe, out, str(kills), json.dumps(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    log = out.parent / f"{out.name}.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.is_file() else "")
    return json.loads(done.stdout.splitlines()[-1])


def records(run: Path) -> dict[str, dict]:
    return {stage: json.loads((run / stage / "stage.json").read_text()) for stage in STAGES}


def test_a_run_killed_at_many_moments_ends_like_one_that_never_was(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    assert killing(recipe, tmp_path / "whole", 0, {})["code"] == 0
    whole = records(tmp_path / "whole")
    result = killing(recipe, tmp_path / "killed", 4, {stage: record["seconds"] for stage, record in whole.items()})
    assert result["code"] == 0
    assert set(STAGES[:5]) <= result["kills"].keys(), result
    killed = records(tmp_path / "killed")
    for stage in STAGES[:6]:  # what follows measures times
        assert killed[stage]["key"] == whole[stage]["key"], stage
        assert killed[stage]["outputs"] == whole[stage]["outputs"], stage
        assert killed[stage]["metrics"] == whole[stage]["metrics"], stage
    files = [path.name for path in (tmp_path / "killed").rglob("*")]
    assert not [name for name in files if name.endswith(".tmp") or name.startswith("checkpoint")]


def listen():
    """A test run in the background may have been told to ignore Ctrl-C, and what it starts inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_says_one_line_and_the_run_goes_on_after_it(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    command = [sys.executable, "-m", "twofour", "train", recipe, "--out", tmp_path / "run", "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=listen)
    while not list((tmp_path / "run").glob("dense/checkpoint.json")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.strip() == "Interrupted. What was finished is kept; the same command continues."
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
