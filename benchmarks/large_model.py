"""Export of a model above 2 GB, for real: what each step costs in seconds and memory.

A vision transformer of twofour's own, with random weights, is pruned to 2:4, quantized and calibrated on scikit-learn's
digits, exported to a bundle, checked, typed in FP16, linted, built for ONNX Runtime, run, and taken as a foreign file.
Each step is a process of its own; its peak is the largest resident set during the step, files that are mapped included,
and is held against the bytes of the FP32 weights. The baseline is a process that only imports what the steps import.

    python benchmarks/large_model.py [--exporter dynamo] [--weights float] [--dim 2560] [--depth 11]

A run takes the place of an earlier one of the same exporter and weights in benchmarks/results/large_model.json; with
--only, of its steps alone, where the network is the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from twofour.common import bundle, console, files, machine
from twofour.common.measure import measured

SIZE = 8
Found = dict[str, Any]


def baseline(_folder: Path, _given: argparse.Namespace) -> Found:
    """What the imports alone take."""
    for name in ("onnxruntime", "twofour.export.stage", "twofour.engines.inspect", "twofour.engines.onnxruntime.build",
                 "twofour.training.factory", "twofour.training.quantize", "twofour.pipeline.foreign"):
        import_module(name)
    return {}


def export(folder: Path, given: argparse.Namespace) -> Found:
    """Make the network and export it; the peak holds the network itself."""
    from twofour.export.config import ExportConfig
    from twofour.export.stage import ExportRequest, export_bundle
    from twofour.training.config import DataConfig, LayersConfig
    from twofour.training.eligibility import list_layers
    from twofour.training.factory import build_data
    from twofour.training.masks import MaskKeeper, magnitude_masks
    from twofour.training.models import tiny_vit

    network = tiny_vit(size=SIZE, dim=given.dim, depth=given.depth, heads=16).eval()
    layers = list_layers(network, LayersConfig())
    MaskKeeper(network, magnitude_masks(network, layers)).apply()
    data = build_data(DataConfig(factory="twofour.training.data:digits", args={"batch": 4, "size": SIZE}))
    with measured() as calibration:
        ranges = calibrated(network, data)
    config = ExportConfig(exporter=given.exporter, weights=given.weights, eval_samples=8, reference_samples=8)
    request = ExportRequest(name="large", network=network, val=data.val, config=config, layers=layers, ranges=ranges,
                            metric="accuracy", metrics={})
    with measured() as cost:
        export_bundle(request, folder / "bundle")
    return {"seconds": cost.seconds, "peak_memory_bytes": cost.peak_memory_bytes,
            "calibration": {"seconds": calibration.seconds, "peak_memory_bytes": calibration.peak_memory_bytes},
            "weight_bytes": sum(value.numel() * value.element_size() for value in network.parameters()),
            "parameters": sum(value.numel() for value in network.parameters()),
            "files": {path.name: path.stat().st_size for path in (folder / "bundle").iterdir()}}


def calibrated(network: Any, data: Any) -> Any:
    """Insert the quantizers and give them ranges."""
    from twofour.calibrate.calibrate import calibrate
    from twofour.calibrate.config import CalibrateConfig
    from twofour.training.quantize import insert

    insert(network)
    return calibrate(network, data.calibration, CalibrateConfig(method="max", batches=1))


def check(folder: Path, _given: argparse.Namespace) -> Found:
    """Load the file and judge every layer."""
    from twofour.export.graph.two_four import check_file

    found = check_file(folder / "bundle" / bundle.MODEL)
    return {"layers": len(found), "two_four": sum(layer.two_four for layer in found)}


def typed(folder: Path, _given: argparse.Namespace) -> Found:
    """As a TensorRT engine is typed: the rest in FP16, written to a file."""
    from twofour.export.graph.load import load
    from twofour.export.graph.precision import type_rest
    from twofour.export.graph.save import save

    model = load(folder / "bundle" / bundle.MODEL)
    found = type_rest(model, "fp16", {})
    names = save(model, folder / "typed" / "model.onnx", 0)
    return {"casts": found.casts, "islands": len(found.islands), "files": len(names)}


def inspected(folder: Path, _given: argparse.Namespace) -> Found:
    """`twofour inspect` on the bundle: the table, the lint and the prediction."""
    from twofour.engines.inspect import inspect

    found = inspect(folder / "bundle")
    return {"layers": len(found.layers), "findings": len(found.findings)}


def built(folder: Path, _given: argparse.Namespace) -> Found:
    """Build the engine of ONNX Runtime."""
    from twofour.engines.config import OnnxRuntimeConfig
    from twofour.engines.onnxruntime.build import build_engine

    record = build_engine(bundle.read(folder / "bundle"), OnnxRuntimeConfig(), folder / "engine", "cpu")
    return {"integer_layers": sum(layer.precision == "int8" for layer in record.layers), "layers": len(record.layers)}


def ran(folder: Path, _given: argparse.Namespace) -> Found:
    """ONNX Runtime, its optimizations off, on the bundle's file, against PyTorch's recorded answers."""
    return _answered(folder / "bundle" / bundle.MODEL, folder, plain=True)


def engine_ran(folder: Path, _given: argparse.Namespace) -> Found:
    """ONNX Runtime on the engine, likewise."""
    return _answered(folder / "engine" / "engine.onnx", folder, plain=False)


def _answered(path: Path, folder: Path, *, plain: bool) -> Found:
    from twofour.common.agreement import agreement
    from twofour.engines.onnxruntime.session import open_session

    stored = files.load_npz(folder / "bundle" / bundle.REFERENCE)
    session = open_session(path, None, plain=plain)
    answer = session.run(None, {"x": stored["inputs/x"]})[0]
    found = agreement({"logits": stored["outputs/logits"]}, {"logits": np.asarray(answer)})
    return found.model_dump(mode="json")


def foreign(folder: Path, _given: argparse.Namespace) -> Found:
    """The bundle's model as `twofour run model.onnx --inputs` takes it: converted, run, and written as a bundle."""
    from twofour.pipeline.foreign import foreign_stage
    from twofour.pipeline.onnx_recipe import OnnxRecipe

    stored, samples = files.load_npz(folder / "bundle" / bundle.EVAL), folder / "samples.npz"
    files.save_npz(samples, {"x": stored["inputs/x"], "targets": stored["targets"]})
    recipe = OnnxRecipe.model_validate({
        "name": "large", "model": {"onnx": str(folder / "bundle" / bundle.MODEL), "inputs": str(samples)},
    })
    foreign_stage(recipe, folder / "foreign")
    source = bundle.read(folder / "foreign").manifest.source
    assert source is not None
    return {"notes": source.notes, "agreement": source.agreement.model_dump(mode="json")}


STEPS: dict[str, Callable[[Path, argparse.Namespace], Found]] = {
    "baseline": baseline, "export": export, "check": check, "type in FP16": typed, "inspect": inspected, "build": built,
    "run the bundle": ran, "run the engine": engine_ran, "take as a foreign file": foreign,
}


def one(step: str, folder: Path, given: argparse.Namespace) -> Found:
    """A step in this process, measured."""
    with measured() as cost:
        found = STEPS[step](folder, given)
    return {"seconds": cost.seconds, "peak_memory_bytes": cost.peak_memory_bytes, **found}


def measure(given: argparse.Namespace) -> Found:
    """Every step in a process of its own."""
    steps: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        for step in [step for step in STEPS if step in ("export", *(given.only or STEPS))]:
            options = ["--dim", str(given.dim), "--depth", str(given.depth), "--exporter", given.exporter,
                       "--weights", given.weights]
            command = [sys.executable, __file__, "--step", step, "--folder", folder, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            steps[step] = json.loads(done.stdout.splitlines()[-1])
            console.say(f"{step}: {steps[step]['seconds']:.1f} s, {steps[step]['peak_memory_bytes'] / 1e9:.2f} GB")
    return {"exporter": given.exporter, "weights": given.weights, "dim": given.dim, "depth": given.depth,
            "weight_bytes": steps["export"]["weight_bytes"], "steps": steps}


def merged(path: Path, run: Found) -> Found:
    """The runs of the file with this one among them, in order."""
    here = machine.describe()
    stored = files.read_json(path) if path.is_file() else {"machine": here, "runs": []}
    found = {(one["exporter"], one["weights"]): one for one in stored["runs"]}
    key = run["exporter"], run["weights"]
    found[key] = updated(found.get(key), run, None if stored["machine"] == here else here)
    return {**stored, "runs": [found[key] for key in sorted(found)]}


def updated(before: Found | None, run: Found, place: Found | None) -> Found:
    """`run`, and what it left out as it was measured before; `place` is its machine, if it isn't that of the file."""
    steps = {name: {**step, "machine": place} if place else step for name, step in run["steps"].items()}
    if before is not None and all(before[key] == run[key] for key in ("dim", "depth", "weight_bytes")):
        steps = {**before["steps"], **steps}
    return {**run, "steps": {name: steps[name] for name in STEPS if name in steps}}


def main() -> None:
    """Measure all steps, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, default=2560, help="width of a token")
    parser.add_argument("--depth", type=int, default=11, help="encoder blocks")
    parser.add_argument("--exporter", default="dynamo", choices=["dynamo", "torchscript"])
    parser.add_argument("--weights", default="float", choices=["float", "int8"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "large_model.json")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), help="these steps and the export. Defaults to all")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        sys.stdout.write(json.dumps(one(given.step, given.folder, given)) + "\n")
        return
    files.write_json(given.out, merged(given.out, measure(given)))


if __name__ == "__main__":
    main()
