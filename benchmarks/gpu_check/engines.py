"""The whole way on the GPU: the digits recipe trained there, and, where TensorRT is, its engines and open questions.

Everything is run by the commands that users run, each in a process of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twofour.common import files

RESNET50 = {
    "name": "resnet50-shaped",
    "model": {"factory": "transformers:ResNetForImageClassification", "args": {"num_channels": 1, "num_labels": 10}},
    "data": {"factory": "twofour.training.data:digits", "args": {"batch": 16, "size": 224}},
    "training": [{"stage": "dense", "epochs": 1}, {"stage": "sparse", "epochs": 1}],
    "calibrate": {"method": "max", "batches": 4},
    "export": {"reference_samples": 64, "eval_samples": 64},
    "engines": [],
}
@dataclass(frozen=True)
class Variant:
    """One way to build the network, compared with the usual one.

    Attributes:
        name: in the table.
        build: options of `twofour build`.
        export: settings of the recipe, where the bundle is another one.
    """

    name: str
    build: tuple[str, ...] = ()
    export: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where its engine goes."""
        return re.sub("[^a-z0-9]+", "-", self.name.lower())


USUAL = Variant("as built by default")
VARIANTS = (  # the most wanted answers first: the time may not suffice for all
    USUAL,
    Variant("every layer's output quantized", export=("calibrate.placement=tensorrt-sparse",)),
    Variant("no more than inputs quantized", export=("calibrate.placement=weights-and-inputs",)),
    Variant("again, its timing cache known"),
    Variant("refit", ("--refit",)),
    Variant("version compatible", ("--version-compatible",)),
    Variant("hardware compatible", ("--hardware-compatibility", "ampere_plus")),
    Variant("weights stored as INT8", export=("export.weights=int8",)),
    Variant("scales fp32", ("--scales", "fp32")),
    Variant("rest fp32", ("--rest", "fp32")),
    Variant("rest bf16", ("--rest", "bf16")),
    Variant("optimization level 5", ("--optimization-level", "5")),
    Variant("opset 19", export=("export.opset=19",)),
    Variant("opset 23", export=("export.opset=23",)),
    Variant("torchscript exporter", export=("export.exporter=torchscript",)),
)
_LEAST = 20  # seconds: with less left, nothing is begun


def train(folder: Path, limit: float) -> dict[str, Any]:
    """The digits recipe, trained and calibrated on the GPU, exported, and run by ONNX Runtime."""
    start = time.perf_counter()
    done = twofour("run", "digits-resnet", "--out", str(folder), "--json", limit=limit)
    seconds = time.perf_counter() - start
    if done["code"] != 0:
        return {"code": done["code"], "error": done["error"], "seconds": seconds}
    summary = json.loads(done["output"])
    return {"code": 0, "seconds": seconds, "stages": summary["stages"], "engines": summary["engines"]}


def resnet50(folder: Path, limit: float, settings: Sequence[str] = ()) -> dict[str, Any]:
    """The bundle of a network of ResNet-50's shape, hardly trained: only its speed is of interest.

    Args:
        folder: the run's; what an earlier run in it left is used where the settings leave it as it was.
        limit: seconds.
        settings: of the recipe, such as `export.opset=19`. Defaults to none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "recipe.yaml", RESNET50)  # JSON is YAML too
    changes = [word for setting in settings for word in ("--set", setting)]
    done = twofour("export", str(folder / "recipe.yaml"), "--out", str(folder), *changes, limit=limit)
    return {"code": done["code"], "error": done["error"]}


def questions(run: Path, folder: Path, limit: float) -> list[dict[str, Any]]:
    """What each way to build does to the choice of sparse kernels, which the documentation leaves open.

    Args:
        run: the run folder of `resnet50`, whose training the variants with another bundle take over.
        folder: where the engines go.
        limit: seconds for all of them.
    """
    end = time.perf_counter() + limit
    return [_asked(variant, run, folder, end) for variant in VARIANTS]


def _asked(variant: Variant, run: Path, folder: Path, end: float) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": variant.name, "code": None, "error": "not done: no time was left"}
    source = run
    if variant.export and end - time.perf_counter() > _LEAST:
        source = folder / f"run-{variant.folder}"
        shutil.copytree(run, source, dirs_exist_ok=True)
        exported = resnet50(source, end - time.perf_counter(), variant.export)
        if exported["code"] != 0:
            return row | exported
    left = end - time.perf_counter()
    if left < _LEAST:
        return row
    out = folder / variant.folder
    done = twofour("build", str(source / "bundle"), "--backend", "tensorrt", "--out", str(out), "--json",
                   *variant.build, limit=left)
    return row | {"code": done["code"], "error": done["error"]} | _verdicts(done, out)


def _verdicts(done: dict[str, Any], engine: Path) -> dict[str, Any]:
    if done["code"] != 0:
        return {}
    record = json.loads(done["output"])
    layers = record["layers"]
    return {
        "layers": len(layers), "ran_sparse": sum(layer["ran_sparse"] == "yes" for layer in layers),
        "eligible": sum(layer["eligible"] == "yes" for layer in layers),
        "unknown": sum(layer["ran_sparse"] == "unknown" for layer in layers),
        "kernels": sorted({str(layer["kernel"]) for layer in layers}),
        "sparsity_log": record["tensorrt"]["sparsity_log"], "seconds": record["tensorrt"]["seconds"],
        "timing_cache": record["tensorrt"]["timing_cache"], "wording": _wording(engine / "build.log"),
        "has_sparse_weights": (engine / "layers.json").read_text(encoding="utf-8").count("HasSparseWeights"),
    }


def _wording(log: Path) -> list[str]:
    """The log's own lines on sparsity, with their severity, shortened: nobody has written down those of 11 yet."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return [line[:200] for line in lines if re.search(r"\(sparsity\)|sparse (?:tactic|math)", line, re.IGNORECASE)][:8]


def judged(engine: Path, limit: float) -> dict[str, Any]:
    """Profile with all arms, then validate."""
    profile = twofour("profile", str(engine), "--batch", "1", "--batch", "8", "--seconds", "1", "--json", limit=limit)
    validation = twofour("validate", str(engine), "--no-gates", "--json", limit=limit / 2)
    return {"profile": _loaded(profile), "validation": _loaded(validation)}


def _loaded(done: dict[str, Any]) -> Any:
    return json.loads(done["output"]) if done["code"] == 0 else {"code": done["code"], "error": done["error"]}


def twofour(*arguments: str, limit: float) -> dict[str, Any]:
    """Run a command: exit code (None: it took too long), standard output, and the last lines of standard error."""
    command = [sys.executable, "-m", "twofour", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(limit, 1), check=False)
    except subprocess.TimeoutExpired:
        return {"code": None, "output": "", "error": f"stopped after {limit:.0f} s"}
    return {"code": done.returncode, "output": done.stdout, "error": done.stderr[-800:]}


__all__ = ["USUAL", "VARIANTS", "Variant", "judged", "questions", "resnet50", "train", "twofour"]
