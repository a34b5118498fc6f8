"""The whole way on the GPU: the digits recipe trained there, and, where TensorRT is, its engines and open questions.

Everything is run by the commands that users run, each in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

RESNET50 = {
    "name": "resnet50-shaped",
    "model": {"factory": "transformers:ResNetForImageClassification", "args": {"num_channels": 1, "num_labels": 10}},
    "data": {"factory": "twofour.training.data:digits", "args": {"batch": 16, "size": 224}},
    "training": [{"stage": "dense", "epochs": 1}, {"stage": "sparse", "epochs": 1}],
    "calibrate": {"method": "max", "batches": 4},
    "export": {"reference_samples": 64, "eval_samples": 64},
    "engines": [],
}
VARIANTS: dict[str, list[str]] = {
    "as built by default": [], "refit": ["--refit"], "version compatible": ["--version-compatible"],
    "hardware compatible": ["--hardware-compatibility", "ampere_plus"], "rest fp32": ["--rest", "fp32"],
    "rest bf16": ["--rest", "bf16"], "optimization level 5": ["--optimization-level", "5"],
}


def train(folder: Path, limit: float) -> dict[str, Any]:
    """The digits recipe, trained and calibrated on the GPU, exported, and run by ONNX Runtime."""
    start = time.perf_counter()
    done = twofour("run", "digits-resnet", "--out", str(folder), "--json", limit=limit)
    seconds = time.perf_counter() - start
    if done["code"]:
        return {"code": done["code"], "error": done["error"], "seconds": seconds}
    summary = json.loads(done["output"])
    return {"code": 0, "seconds": seconds, "stages": summary["stages"], "engines": summary["engines"]}


def resnet50(folder: Path, limit: float) -> dict[str, Any]:
    """The bundle of a network of ResNet-50's shape, hardly trained: only its speed is of interest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RESNET50))
    done = twofour("export", str(folder / "recipe.yaml"), "--out", str(folder), limit=limit)
    return {"code": done["code"], "error": done["error"]}


def questions(bundle: Path, folder: Path, limit: float) -> list[dict[str, Any]]:
    """What each kind of build does to the choice of sparse kernels, which the documentation leaves open."""
    rows = []
    end = time.perf_counter() + limit
    for name, options in VARIANTS.items():
        left = end - time.perf_counter()
        if left < 20:
            rows.append({"variant": name, "code": None, "error": "not done: no time was left"})
            continue
        out = folder / name.replace(" ", "-")
        done = twofour("build", str(bundle), "--backend", "tensorrt", "--out", str(out), "--json", *options, limit=left)
        rows.append({"variant": name, "code": done["code"], "error": done["error"], **_verdicts(done)})
    return rows


def _verdicts(done: dict[str, Any]) -> dict[str, Any]:
    if done["code"]:
        return {}
    record = json.loads(done["output"])
    layers = record["layers"]
    return {
        "layers": len(layers), "ran_sparse": sum(layer["ran_sparse"] == "yes" for layer in layers),
        "eligible": sum(layer["eligible"] == "yes" for layer in layers),
        "unknown": sum(layer["ran_sparse"] == "unknown" for layer in layers),
        "kernels": sorted({str(layer["kernel"]) for layer in layers}),
        "sparsity_log": record["tensorrt"]["sparsity_log"], "seconds": record["tensorrt"]["seconds"],
    }


def judged(engine: Path, limit: float) -> dict[str, Any]:
    """Profile with all arms, then validate."""
    profile = twofour("profile", str(engine), "--batch", "1", "--batch", "8", "--seconds", "1", "--json", limit=limit)
    validation = twofour("validate", str(engine), "--no-gates", "--json", limit=limit / 2)
    return {"profile": _loaded(profile), "validation": _loaded(validation)}


def _loaded(done: dict[str, Any]) -> Any:
    return json.loads(done["output"]) if not done["code"] else {"code": done["code"], "error": done["error"]}


def twofour(*arguments: str, limit: float) -> dict[str, Any]:
    """Run a command: exit code (None: it took too long), standard output, and the last lines of standard error."""
    command = [sys.executable, "-m", "twofour", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(limit, 1), check=False)
    except subprocess.TimeoutExpired:
        return {"code": None, "output": "", "error": f"stopped after {limit:.0f} s"}
    return {"code": done.returncode, "output": done.stdout, "error": done.stderr[-800:]}


__all__ = ["judged", "questions", "resnet50", "train", "twofour"]
