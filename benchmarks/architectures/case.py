"""One architecture by one exporter: prune, quantize, calibrate, export, run. A process of its own, for its peak memory.

    python benchmarks/architectures/case.py NAME EXPORTER FOLDER

Writes `EXPORTER.onnx`, `EXPORTER.npz` (what it answers), `EXPORTER-engine.onnx` (what `twofour build` makes of it) and
`EXPORTER.json` to the folder.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections import Counter
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import onnxruntime
import torch
from built import built
from inputs import batch
from macs import macs_by_layer
from networks import ARCHITECTURES, Architecture
from torch import nn

from twofour.calibrate.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig
from twofour.common import console, files
from twofour.common.agreement import agreement, snr_db
from twofour.common.errors import TwofourError
from twofour.common.measure import measured
from twofour.engines.onnxruntime.runner import OnnxRunner
from twofour.export.config import ExportConfig
from twofour.export.graph.lint import lint
from twofour.export.graph.load import load
from twofour.export.graph.passes import count
from twofour.export.graph.save import save
from twofour.export.graph.two_four import check
from twofour.export.recorder import Recorder
from twofour.export.samples import named_inputs
from twofour.export.torch_onnx import export
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.masks import magnitude_masks
from twofour.training.quantize import place

PLACEMENT = "tensorrt"
SAMPLES, BATCHES = 32, (1, 5)
CALIBRATION = [(100, 8), (101, 8), (102, 8), (103, 8)]
ENOUGH_DB = 10.0  # another function has about 0 dB


def prepare(found: Architecture) -> tuple[nn.Module, dict[str, Any]]:
    """The network pruned in one shot, quantized and calibrated, and what there is to say of it."""
    torch.manual_seed(0)
    network = found.build()
    _settle_norms(network, found)
    layers = list_layers(network.eval(), LayersConfig())
    macs = macs_by_layer(network, batch(found.shape, 1, 0))
    eligible = {layer.name for layer in layers if layer.sparse}
    with torch.no_grad():
        for name, mask in magnitude_masks(network, layers).items():
            network.get_parameter(name).masked_fill_(~mask, 0.0)
    place(network, PLACEMENT, batch(found.shape, 2, 0))
    calibrate(network, [(batch(found.shape, size, seed), torch.zeros(size)) for seed, size in CALIBRATION],
              CalibrateConfig(placement=PLACEMENT))
    return network, {
        "parameters": sum(value.numel() for value in network.parameters()), "macs": sum(macs.values()),
        "layers": len(layers), "eligible_layers": len(eligible),
        "eligible_share": sum(value for name, value in macs.items() if name in eligible) / sum(macs.values()),
        "sparse": sorted(eligible),
    }


def _settle_norms(network: nn.Module, found: Architecture) -> None:
    """Fresh BatchNorms take the statistics of real inputs, so that activations neither die nor grow with depth."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train().momentum = None
    with torch.no_grad():
        for seed, size in CALIBRATION:
            network(batch(found.shape, size, seed))


def exported(network: nn.Module, found: Architecture, exporter: str, folder: Path) -> dict[str, Any]:
    """Export, lint and run; or the reason why not."""
    example = batch(found.shape, 2, 0)
    with measured() as cost:
        try:
            model = export(network, example, ExportConfig(exporter=exporter))
        except TwofourError as error:
            return {"exported": False, "reason": str(error)}
    path = folder / f"{exporter}.onnx"
    save(model, path)
    model = load(path)
    counts = count(model)
    findings = lint(model)
    return {
        "exported": True, "nodes": len(model.graph), "quantize": counts.quantize, "dequantize": counts.dequantize,
        "two_four": sorted(item.name for item in check(model) if item.two_four),
        "lint": dict(Counter(finding.severity for finding in findings)),
        "lint_ids": dict(Counter(finding.id for finding in findings)),
        "seconds": cost.seconds, "peak_memory_bytes": cost.peak_memory_bytes,
        **_run(network, path, found),
    }


def _run(network: nn.Module, path: Path, found: Architecture) -> dict[str, Any]:
    (engine, integer), recorder = built(path), Recorder(network, by_name=False)
    runner = OnnxRunner(engine, 1)
    inputs = _named(network, batch(found.shape, SAMPLES, 1))
    reference = recorder.answer(inputs, "")
    plain = _plainly(path, inputs)
    files.save_npz(path.with_suffix(".npz"), plain)
    return {
        "agreement": agreement(reference, plain).model_dump(),
        "engine": agreement(reference, runner.infer(inputs)).model_dump(), "integer": integer,
        "noise_floor": recorder.noise_floor(inputs, reference).model_dump(),
        "batches": {str(size): _at(runner, recorder, _named(network, batch(found.shape, size, 2))) for size in BATCHES},
    }


def _plainly(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The answers of the graph as it stands: ONNX Runtime's own optimizations round differently."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _named(network: nn.Module, inputs: torch.Tensor) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in named_inputs(network, inputs).items()}


def _at(runner: OnnxRunner, recorder: Recorder, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        wanted, found = recorder.answer(inputs, ""), runner.infer(inputs)
        ratios = [snr_db(value, found[name]) for name, value in wanted.items()]
    except TwofourError as error:
        return {"runs": False, "reason": str(error)}
    worst = min((ratio for ratio in ratios if ratio is not None), default=None)
    return {"runs": worst is None or worst > ENOUGH_DB, "snr_db": worst}


def resized(network: nn.Module, found: Architecture, exporter: str, folder: Path) -> dict[str, Any] | None:
    """Export with dynamic height and width and run at another size; or the reason why not; None without a picture."""
    if found.other is None:
        return None
    config, said = ExportConfig(exporter=exporter, dynamic=["batch", "height", "width"]), io.StringIO()
    try:
        with redirect_stderr(said):
            model = export(network, batch(found.shape, 2, 0), config)
    except TwofourError as error:
        return {"runs": False, "reason": str(error)}
    path = folder / f"{exporter}-sizes.onnx"
    save(model, path)
    other = batch((found.shape[0], *found.other), 2, 3)
    engine, _ = built(path)
    answer = _at(OnnxRunner(engine, 1), Recorder(network, by_name=False), _named(network, other))
    return {**answer, "any_size": "At an odd" not in said.getvalue()}


def main() -> None:
    name, exporter, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    console.configure(quiet=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    found = next(found for found in ARCHITECTURES if found.name == name)
    network, about = prepare(found)
    row = exported(network, found, exporter, folder)
    row["sizes"] = resized(network, found, exporter, folder)
    files.write_json(folder / f"{exporter}.json", {"about": about, "row": row})


if __name__ == "__main__":
    main()
