"""Our CPU engine beside its rivals on one machine, in one run: who is fastest, and who answers right?

Arms, all of the same trained network and run by ONNX Runtime with the same settings:

- `fp32`: the network without quantizers.
- `twofour`: our INT8 engine.
- `ort-qint8`, `ort-quint8`: ONNX Runtime's own `quantize_static` of the FP32 graph (Q/DQ, per channel, INT8 weights,
  activations signed or unsigned), calibrated on the same samples.
- `modelopt`: ModelOpt's own ONNX export (TorchScript) of the same quantized network.

    python benchmarks/cpu_engine.py [--run runs/digits-resnet] [--out benchmarks/results/cpu_engine.json]
"""

from __future__ import annotations

import argparse
import copy
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import yaml
from modelopt.torch.quantization.nn import TensorQuantizer
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from twofour.calibrate.config import CalibrateConfig
from twofour.common import bundle, console, files, machine
from twofour.engines.backend import find
from twofour.engines.config import OnnxRuntimeConfig
from twofour.engines.samples import batch_of
from twofour.engines.statistics import latency, ratio
from twofour.engines.timing import interleaved
from twofour.export.config import ExportConfig
from twofour.export.stage import ExportRequest, export_bundle
from twofour.training.calibration import calibration_stage
from twofour.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from twofour.training.factory import build_data
from twofour.training.restore import load_stage, read_layers, read_ranges
from twofour.training.stage import StageRequest, train_stage

RESNET18 = ModelConfig(
    factory="twofour.training.models:tiny_resnet", args={"widths": [64, 128, 256, 512], "blocks": 2, "channels": 1}
)
DIGITS = DataConfig(factory="twofour.training.data:digits", args={"batch": 64, "size": 32})
RIVALS = ["ort-qint8", "ort-quint8", "modelopt"]


class Calibration(CalibrationDataReader):
    """The calibration loader, as ONNX Runtime reads it."""

    def __init__(self, loader, name: str) -> None:
        self.batches = ({name: inputs.numpy()} for inputs, _ in loader)

    def get_next(self):
        """The next batch by input name, or None after the last."""
        return next(self.batches, None)


def resnet18(folder: Path, epochs: int) -> tuple[ModelConfig, DataConfig, Path]:
    """Train a network of ResNet-18's shape for a few epochs, calibrate and export it; returns where it was left."""
    optimizer = OptimizerConfig(lr=0.05)
    dense = TrainConfig(stage="dense", method="supervised", epochs=epochs, optimizer=optimizer)
    train_stage(StageRequest(RESNET18, DIGITS, dense, 0, f"resnet18-{epochs}", None, None), folder / "dense")
    calibration_stage(RESNET18, DIGITS, CalibrateConfig(), folder / "dense", folder / "calibrate", 0)
    source = folder / "calibrate"
    export_bundle(
        ExportRequest(
            name="resnet18-shaped", network=load_stage(RESNET18, source), val=build_data(DIGITS).val,
            config=ExportConfig(), layers=read_layers(source), ranges=read_ranges(source), metric="accuracy",
            metrics={},
        ),
        folder / "bundle",
    )
    return RESNET18, DIGITS, source


def finished(run: Path) -> tuple[ModelConfig, DataConfig, Path]:
    """The network of a finished run and its last quantized stage."""
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    source = next(run / stage for stage in ("qat", "calibrate") if (run / stage / "ranges.json").is_file())
    return ModelConfig.model_validate(recipe["model"]), DataConfig.model_validate(recipe["data"]), source


def make_arms(source: Path, network: torch.nn.Module, data, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Build every arm in `folder`; the ONNX file of each, and our builder's notes."""
    shipped = bundle.read(source)
    record = find("onnxruntime").build(shipped, OnnxRuntimeConfig(), folder)
    arms = {"fp32": folder / record.baseline, "twofour": folder / record.engine}
    name = shipped.manifest.inputs[0].name
    quant_pre_process(str(arms["fp32"]), str(folder / "pre.onnx"), skip_symbolic_shape=True)
    for arm, kind in (("ort-qint8", QuantType.QInt8), ("ort-quint8", QuantType.QUInt8)):
        arms[arm] = folder / f"{arm}.onnx"
        quantize_static(
            str(folder / "pre.onnx"), str(arms[arm]), Calibration(data.calibration, name), per_channel=True,
            quant_format=QuantFormat.QDQ, activation_type=kind, weight_type=QuantType.QInt8,
        )
    arms["modelopt"] = folder / "modelopt.onnx"
    export_modelopt(network, next(iter(data.val))[0][:2], name, arms["modelopt"])
    return arms, record.notes


def export_modelopt(network: torch.nn.Module, example: torch.Tensor, name: str, path: Path) -> None:
    """ModelOpt's own symbols for its quantizers; they know no narrow range, which our weights fit into anyhow."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, TensorQuantizer):
            module.narrow_range = False
    with torch.no_grad():
        torch.onnx.export(
            network, (example,), str(path), dynamo=False, opset_version=17, input_names=[name],
            output_names=["logits"], dynamic_axes={name: {0: "batch"}, "logits": {0: "batch"}},
        )


def accuracies(arms: dict[str, Path], network: torch.nn.Module, data, name: str) -> dict[str, dict[str, float]]:
    """Accuracy on the validation set, and the share of predictions that equal PyTorch's fake-quant network's."""
    batches = [(inputs, targets.numpy()) for inputs, targets in data.val]
    targets = np.concatenate([target for _, target in batches])
    with torch.no_grad():
        pytorch = np.concatenate([network(inputs).argmax(1).numpy() for inputs, _ in batches])
    found = {"pytorch": {"accuracy": float(np.mean(pytorch == targets)), "agreement": 1.0}}
    for arm, path in arms.items():
        runner = find("onnxruntime").load(path, OnnxRuntimeConfig())
        answers = [next(iter(runner.infer({name: inputs.numpy()}).values())) for inputs, _ in batches]
        classes = np.concatenate(answers).argmax(1)
        found[arm] = {
            "accuracy": float(np.mean(classes == targets)), "agreement": float(np.mean(classes == pytorch))
        }
    return found


def race(arms: dict[str, Path], inputs: dict[str, np.ndarray], threads: int, batch: int, seconds: float) -> dict:
    """Time all arms in alternating rounds."""
    runners = {arm: find("onnxruntime").load(path, OnnxRuntimeConfig(threads=threads)) for arm, path in arms.items()}
    feed = batch_of(inputs, batch)
    calls = {arm: (lambda runner=runner: runner.infer(feed)) for arm, runner in runners.items()}
    rounds = interleaved(calls, seconds=seconds, runs=50, warmup=0.3, on_progress=lambda _: None)
    latencies = {arm: latency(arm, batch, np.concatenate(times)) for arm, times in rounds.items()}
    best = min(RIVALS, key=lambda arm: latencies[arm].p50)
    pairs = [("twofour", other) for other in ("fp32", *RIVALS)] + [(rival, "fp32") for rival in RIVALS]
    ratios = [ratio(arm, base, batch, rounds[arm], rounds[base]).model_dump() for arm, base in pairs]
    return {
        "threads": threads, "batch": batch, "best_rival": best,
        "latencies": [entry.model_dump(exclude={"samples_ms"}) for entry in latencies.values()], "ratios": ratios,
    }


def compare(run: Path, model: ModelConfig, config: DataConfig, source: Path, seconds: float) -> dict:
    data, network = build_data(config), load_stage(model, source)
    with tempfile.TemporaryDirectory() as folder:
        arms, notes = make_arms(run / "bundle", network, data, Path(folder))
        inputs = bundle.read(run / "bundle").arrays(bundle.EVAL, "inputs")
        name = next(iter(inputs))
        result = {
            "model": model.model_dump(), "input": list(inputs[name].shape[1:]), "notes": notes,
            "bytes": {arm: path.stat().st_size for arm, path in arms.items()},
            "quality": accuracies(arms, network, data, name),
            "races": [race(arms, inputs, threads, batch, seconds) for threads in (1, 2) for batch in (1, 8)],
        }
    show(result)
    return result


def show(result: dict) -> None:
    for arm, quality in result["quality"].items():
        print(f"  {arm:<12} accuracy {quality['accuracy']:.4f}  agreement {quality['agreement']:.4f}")
    for entry in result["races"]:
        times = ", ".join(f"{item['arm']} {item['p50']:.2f}" for item in entry["latencies"])
        print(f"  {entry['threads']} thread(s), batch {entry['batch']}, median ms: {times}")
        for found in entry["ratios"]:
            if found["arm"] == "twofour" and found["baseline"] in ("fp32", entry["best_rival"]):
                limits = f"{found['low']:.2f} to {found['high']:.2f}"
                print(f"    {found['speedup']:.2f}x {found['baseline']} ({limits}): {found['verdict']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a finished run (digits-resnet)")
    parser.add_argument("--work", type=Path, help="where the ResNet-18-shaped network is kept for the next time")
    parser.add_argument("--epochs", type=int, default=2, help="of the ResNet-18-shaped network")
    parser.add_argument("--seconds", type=float, default=3.0, help="per arm, batch size and number of threads")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cpu_engine.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    results = {"machine": machine.describe(), "seconds": options.seconds, "networks": {}}
    if options.run:
        console.say(f"{options.run.name}:")
        results["networks"][options.run.name] = compare(options.run, *finished(options.run), options.seconds)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        kept = work / "bundle" / "bundle.json"
        trained = (RESNET18, DIGITS, work / "calibrate") if kept.is_file() else resnet18(work, options.epochs)
        console.say("resnet18-shaped:")
        results["networks"]["resnet18-shaped"] = compare(work, *trained, options.seconds)
    files.write_json(options.out, results)


if __name__ == "__main__":
    main()
