from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("fuzz_worker.py")


def fuzz(folder: Path, seed: int, count: int) -> str:
    done = subprocess.run([sys.executable, str(WORKER), str(folder), str(seed), str(count)], cwd=folder, check=False,
                          capture_output=True, text=True, timeout=1200)
    left = {path.name for path in folder.iterdir()}
    assert left == {"model.onnx", "model.data", "seed.onnx", "loop"}, done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""  # no warning reaches the user either
    return done.stdout


def test_mutated_files_are_answered_in_words(tmp_path: Path) -> None:
    said = fuzz(tmp_path, 0, 300)
    assert "examined" in said
    assert "refused" in said


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_mutated_files_are_answered_in_words(tmp_path: Path, seed: int) -> None:
    fuzz(tmp_path, seed, 2000)
