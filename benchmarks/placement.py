"""The policies of `calibrate.placement` on the two demo networks: accuracy, agreement, lint, prediction, CPU speed.

    python benchmarks/placement.py --runs FOLDER [--seeds 3] [--seconds 1.5]

FOLDER is that of `benchmarks/digits.py --runs`; what it lacks is trained. For each seed all policies start from the
same sparse network, and their engines and the FP32 twin are timed in turns. Two wider networks with fresh weights are
only placed, exported and judged: the demo networks are too narrow for sparse kernels. Writes `results/placement.json`,
of which `--wide` without `--runs` makes this last part anew.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, str(Path(__file__).parent))

import digits
import onnx_ir as ir
import torch

from twofour.calibrate.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig, Policy
from twofour.common import bundle, console
from twofour.common.files import read_json, write_json
from twofour.common.machine import describe
from twofour.engines.backend import find
from twofour.engines.config import OnnxRuntimeConfig
from twofour.engines.samples import batch_of
from twofour.engines.statistics import ratio
from twofour.engines.timing import interleaved
from twofour.engines.validate import validate_engine
from twofour.export.config import ExportConfig
from twofour.export.graph.lint import lint, predict
from twofour.export.graph.load import load
from twofour.export.graph.passes import count
from twofour.export.torch_onnx import export
from twofour.pipeline.exporting import export_stage
from twofour.pipeline.recipe import Recipe
from twofour.pipeline.run import open_run
from twofour.training.calibration import calibration_stage
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.masks import magnitude_masks
from twofour.training.models import tiny_resnet, tiny_vit
from twofour.training.quantize import place
from twofour.training.stage import StageRequest, train_stage

EXPORT = {"exporter": "torchscript"}  # the faster of the two; both write the same network
RELEASE = "11.4"
BATCHES = (1, 8)
ONE_THREAD = OnnxRuntimeConfig(threads=1)
WIDE = {
    "resnet, 64 to 512 wide": lambda: tiny_resnet(channels=3, widths=(64, 128, 256, 512), blocks=2),
    "vit, 256 wide": lambda: tiny_vit(channels=3, size=32, patch=8, dim=256, depth=2),
}


def judged(model: ir.Model) -> dict[str, Any]:
    """What a graph shows without an engine."""
    findings, counts = lint(model, RELEASE), count(model)
    return {
        "quantize": counts.quantize, "dequantize": counts.dequantize,
        "lint": dict(Counter(finding.severity for finding in findings)),
        "lint_ids": dict(Counter(finding.id for finding in findings)),
        "predicted": dict(Counter(prediction.verdict for prediction in predict(model))),
    }


def one(recipe: Recipe, policy: str, run: Path, earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything behind sparse training, in a folder that holds `dense` and `sparse`; its engine is left there.

    A placement that an earlier policy has made already gives the same network, and is not done twice.
    """
    config = recipe.calibrate.model_copy(update={"placement": policy})
    ptq = calibration_stage(recipe.model, recipe.data, config, run / "sparse", run / "calibrate", recipe.seed)
    placement = read_json(run / "calibrate" / "placement.json")
    for row in earlier:
        if row["placement"] == placement["quantizers"]:
            return {**row, "policy": policy, "same_as": row["policy"]}
    train = next(stage for stage in recipe.training if stage.stage == "qat")
    start = StageRequest(recipe.model, recipe.data, train, recipe.seed, policy, run / "calibrate", run / "sparse")
    qat = train_stage(start, run / "qat")
    dense, sparse = (read_json(run / stage / "metrics.json")["accuracy"] for stage in ("dense", "sparse"))
    export_stage(recipe, run, "qat", {"dense": {"accuracy": dense}})
    find("onnxruntime").build(bundle.read(run / "bundle"), ONE_THREAD, run / "engine")
    found = validate_engine(run / "engine", run / "bundle", recipe.validation)
    return {
        "recipe": recipe.name, "seed": recipe.seed, "policy": policy, "same_as": None, "missed": placement["missed"],
        "placement": placement["quantizers"],
        "accuracy": {"dense": dense, "sparse": sparse, "calibrate": ptq["accuracy"], "qat": qat["accuracy"],
                     "engine": found.value},
        "agreement": found.agreement.model_dump(), "noise_floor": found.noise_floor.model_dump(),
        **judged(load(run / "bundle" / "model.onnx")),
    }


def race(arms: dict[str, Path], source: Path, batch: int, seconds: float) -> dict[str, dict[str, Any]]:
    """The speed-up of each policy's engine over the FP32 twin, all timed in turns on one thread."""
    inputs = batch_of(bundle.read(source).arrays(bundle.EVAL, "inputs"), batch)
    runners = {name: find("onnxruntime").load(path, ONE_THREAD) for name, path in arms.items()}
    calls = {name: (lambda runner=runner: runner.infer(inputs)) for name, runner in runners.items()}
    rounds = interleaved(calls, seconds=seconds, runs=50, warmup=0.3, on_progress=lambda _: None)
    return {name: ratio(name, "fp32", batch, times, rounds["fp32"]).model_dump()
            for name, times in rounds.items() if name != "fp32"}


def trained(name: str, seed: int, runs: Path, seconds: float) -> list[dict[str, Any]]:
    """All policies on one seed."""
    source = runs / f"{name}-{seed}"
    if not (source / "sparse" / "metrics.json").is_file():
        digits.one(name, seed, runs)
    recipe, _ = open_run(digits.ROOT / "recipes" / f"{name}.yaml", None, [f"seed={seed}"])
    recipe = recipe.model_copy(update={"export": recipe.export.model_copy(update=EXPORT)})
    with tempfile.TemporaryDirectory() as folder:
        rows: list[dict[str, Any]] = []
        arms: dict[str, Path] = {}
        for policy in get_args(Policy):
            run = Path(folder) / policy
            for stage in ("dense", "sparse"):
                shutil.copytree(source / stage, run / stage)
            rows.append(one(recipe, policy, run, rows))
            print(name, seed, policy, rows[-1]["same_as"], rows[-1]["accuracy"], flush=True)
            if rows[-1]["same_as"] is None:
                arms |= {policy: run / "engine" / "engine.onnx", "fp32": run / "engine" / "fp32.onnx"}
                last = run / "bundle"
        races = [race(arms, last, batch, seconds) for batch in BATCHES]
    for row in rows:
        row["speedup"] = [found[row["same_as"] or row["policy"]] for found in races]
        del row["placement"]
    return rows


def wide(name: str, policy: str) -> dict[str, Any]:
    """A network with fresh weights, pruned by magnitude."""
    torch.manual_seed(0)
    network, inputs = WIDE[name]().eval(), torch.rand(8, 3, 32, 32)
    layers = list_layers(network, LayersConfig())
    with torch.no_grad():
        for parameter, mask in magnitude_masks(network, layers).items():
            network.get_parameter(parameter).masked_fill_(~mask, 0.0)
    place(network, policy, inputs[:2], [layer.name for layer in layers if layer.sparse])
    calibrate(network, [(inputs, torch.zeros(8))], CalibrateConfig(method="max"))
    return {"network": name, "policy": policy, **judged(export(network, inputs[:2], ExportConfig(**EXPORT)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="the run folders of benchmarks/digits.py")
    parser.add_argument("--wide", action="store_true", help="only judge the wider networks again")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each arm and batch size in the race")
    parser.add_argument("--note", default="", help="a sentence on how it was measured, for the results")
    options = parser.parse_args()
    if not options.wide and options.runs is None:
        parser.error("--runs is missing")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    console.configure(quiet=True)
    results: dict[str, Any] = {"machine": describe(), "release": RELEASE, "note": options.note, "rows": [], "wide": []}
    results["wide"] = [wide(name, policy) for name in WIDE for policy in get_args(Policy)]
    path = digits.ROOT / "benchmarks" / "results" / "placement.json"
    if options.wide:
        write_json(path, {**read_json(path), "wide": results["wide"]})
        return
    for seed in range(options.seeds):
        for name in digits.RECIPES:
            results["rows"] += trained(name, seed, options.runs, options.seconds)
            write_json(path, results)


if __name__ == "__main__":
    main()
