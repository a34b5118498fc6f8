"""A run folder as a finished run leaves it, made from the records' own classes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from twofour.common.bundle import Agreement, Layer, Manifest, Range, Tensor
from twofour.common.files import save_npz, sha256
from twofour.common.machine import describe, versions
from twofour.engines.config import OnnxRuntimeConfig, ProfileConfig, ValidateConfig
from twofour.engines.records import (
    EngineRecord,
    Gate,
    LayerDifference,
    LayerEvidence,
    ProfileRecord,
    ValidationRecord,
)
from twofour.engines.statistics import latency, ratio

_CONVS = [f"body.{block}.conv{index}" for block in range(9) for index in (1, 2)]
_RNG = np.random.default_rng(7)


def shape_of(name: str) -> list[int]:
    if name == "stem":
        return [16, 1, 3, 3]
    if name == "head":
        return [10, 64]
    width = 16 * 2 ** (int(name.split(".")[1]) // 3)
    return [width, width, 3, 3]


NAMES = ["stem", *_CONVS, "head"]
LAYERS = [
    Layer(
        name=name,
        kind="Linear" if name == "head" else "Conv2d",
        shape=shape_of(name),
        sparse=name in _CONVS,
        reason="16 or more along the reduction axis, outputs a multiple of 8"
        if name in _CONVS
        else "1 input channel: the reduction axis is no multiple of 16"
        if name == "stem"
        else "10 outputs are no multiple of 8",
    )
    for name in NAMES
]
RANGES = [
    Range(tensor=f"{name}.input_quantizer", method="entropy", amax=float(2 ** _RNG.normal(1, 1)), axis=None)
    for name in NAMES
] + [
    Range(
        tensor=f"{name}.weight_quantizer",
        method="max",
        axis=0,
        amax=[float(v) for v in np.exp(_RNG.normal(-1, 0.6, shape_of(name)[0]))],
    )
    for name in NAMES
]


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value.model_dump(mode="json") if hasattr(value, "model_dump") else value))


def stage(run: Path, folder: str, seconds: float, name: str | None = None) -> None:
    record = {
        "stage": name or folder,
        "key": "3f" * 32,
        "inputs": {},
        "outputs": {},
        "seconds": seconds,
        "peak_memory_bytes": 812_000_000,
        "versions": versions(),
        "metrics": {},
        "finished": "2026-11-23T21:04:11+00:00",
    }
    dump(run / folder / "stage.json", record)


def metrics(run: Path, folder: str, accuracy: float, epochs: int, start: float = 0.3) -> None:
    history = [
        {
            "epoch": epoch,
            "train_loss": 2.2 * math.exp(-0.6 * epoch) + 0.02,
            "loss": 2.0 * math.exp(-0.6 * epoch) + 0.05,
            "accuracy": accuracy - (accuracy - start) * math.exp(-0.9 * epoch),
            "lr": 0.1 * (1 - epoch / (epochs + 1)),
        }
        for epoch in range(1, epochs + 1)
    ]
    dump(run / folder / "metrics.json", {"accuracy": accuracy, "loss": 0.051, "history": history})


def recipe(run: Path, **changes: Any) -> None:
    content = {
        "name": "digits-resnet",
        "seed": 0,
        "model": {"factory": "twofour.training.models:tiny_resnet", "args": {"classes": 10}},
        "data": {"factory": "twofour.training.data:digits"},
        "training": [{"stage": "dense", "epochs": 8}, {"stage": "sparse", "epochs": 6}, {"stage": "qat", "epochs": 2}],
        "engines": [{"backend": "onnxruntime"}, {"backend": "tensorrt", "optional": True}],
        **changes,
    }
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def training(run: Path) -> None:
    metrics(run, "dense", 0.9889, 8)
    metrics(run, "sparse", 0.9861, 6, start=0.95)
    path = run / "sparse" / "metrics.json"
    dump(path, {**json.loads(path.read_text()), "one_shot_accuracy": 0.6139})
    metrics(run, "calibrate", 0.9806, 0)
    metrics(run, "qat", 0.9861, 2, start=0.97)
    for name, seconds in (("dense", 41.2), ("sparse", 32.9), ("calibrate", 9.4), ("qat", 14.8)):
        stage(run, name, seconds)
    dump(run / "sparse/layers.json", [layer.model_dump() for layer in LAYERS])
    for folder in ("calibrate", "qat"):
        dump(run / folder / "ranges.json", [item.model_dump() for item in RANGES])


def bundle(run: Path, layers: list[Layer]) -> Manifest:
    manifest = Manifest(
        name="digits-resnet",
        files={},
        inputs=[Tensor(name="x", dtype="float32", shape=["batch", 1, 32, 32])],
        outputs=[Tensor(name="logits", dtype="float32", shape=["batch", 10])],
        layers=layers,
        ranges=RANGES,
        metric="accuracy",
        metrics={"dense": {"accuracy": 0.9889}},
        eval_metric=0.9861,
        noise_floor=Agreement(predictions=1.0, snr_db=47.3, samples=256),
        versions=versions(),
    )
    dump(run / "bundle/bundle.json", manifest)
    stage(run, "export", 6.1)
    return manifest


def engine_record(layers: list[Layer], digest: str) -> EngineRecord:
    evidence = [
        LayerEvidence(
            name=layer.name,
            op="Gemm" if layer.kind == "Linear" else "Conv",
            shape=layer.shape,
            two_four=layer.sparse,
            zeros=0.531 if layer.sparse else 0.021,
            precision="int8",
            kernel="QGemm" if layer.kind == "Linear" else "QLinearConv",
            ran_sparse="no",
            reason="2:4 on the integers; kernels of ONNX Runtime on the CPU are dense"
            if layer.sparse
            else "some group of 4 has fewer than 2 zeros",
        )
        for layer in layers
    ]
    return EngineRecord(
        backend="onnxruntime",
        device="cpu",
        name="digits-resnet",
        bundle="../../bundle",
        bundle_digest=digest,
        options=OnnxRuntimeConfig(),
        engine="engine.onnx",
        baseline="fp32.onnx",
        files={},
        sizes={"engine.onnx": 371_204, "fp32.onnx": 1_402_331},
        machine=describe(),
        layers=evidence,
        notes=["31 activations stored as uint8 with zero point 0", "2 threads"],
    )


def times(median: float) -> list[np.ndarray[Any, Any]]:
    return [median * np.exp(_RNG.normal(0.03, 0.05, 12)) + _RNG.exponential(0.03 * median, 12) for _ in range(40)]


def profile_record(medians: dict[int, tuple[float, float]]) -> ProfileRecord:
    latencies, ratios = [], []
    for batch, (own, other) in medians.items():
        rounds = times(own), times(other)
        latencies += [
            latency(arm, batch, np.concatenate(item)) for arm, item in zip(("int8", "fp32"), rounds, strict=True)
        ]
        ratios.append(ratio("int8", "fp32", batch, *rounds))
    return ProfileRecord(
        backend="onnxruntime",
        options=ProfileConfig(batch=list(medians)),
        machine=describe(),
        latencies=latencies,
        ratios=ratios,
        gates=[],
    )


def validation_record(value: float = 0.9861, last: str = "logits") -> ValidationRecord:
    floor = Agreement(predictions=1.0, snr_db=47.3, samples=256)
    differences = [
        LayerDifference(
            tensor=f"{name}.input_quantizer",
            snr_db=None if index % 3 == 0 else 68.0 - index,
            codes_differ=0.0 if index % 3 == 0 else 0.0004 * index,
            chained_snr_db=None if index == 0 else 61.0 - index,
        )
        for index, name in enumerate(NAMES)
    ]
    differences.append(LayerDifference(tensor=last, snr_db=71.2, codes_differ=None, chained_snr_db=44.1))
    return ValidationRecord(
        backend="onnxruntime",
        options=ValidateConfig(),
        agreement=Agreement(predictions=0.9961, snr_db=44.1, samples=256),
        noise_floor=floor,
        metric="accuracy",
        samples=360,
        value=value,
        pytorch_value=0.9861,
        dense_value=0.9889,
        layers=differences,
        gates=[
            Gate(name="max_drop", limit=0.01, value=0.9889 - value, met=0.9889 - value <= 0.01),
            Gate(name="min_agreement", limit=0.995, value=0.9961, met=True),
        ],
    )


def engine(run: Path, layers: list[Layer] = LAYERS) -> Path:
    folder = run / "engines/onnxruntime-cpu"
    dump(folder / "engine.json", engine_record(layers, sha256(run / "bundle/bundle.json")))
    dump(folder / "profile/profile.json", profile_record({1: (0.62, 1.21), 8: (3.9, 4.0)}))
    dump(folder / "validate/validation.json", validation_record())
    for sub, name, seconds in (
        ("", "build onnxruntime", 2.2),
        ("/profile", "profile onnxruntime-cpu", 13.6),
        ("/validate", "validate onnxruntime-cpu", 3.3),
    ):
        stage(run, f"engines/onnxruntime-cpu{sub}", seconds, name)
    return folder


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run that went through every stage."""
    run = tmp_path / "digits-resnet"
    recipe(run)
    training(run)
    bundle(run, LAYERS)
    engine(run)
    dump(run / "summary.json", {"run": "digits-resnet", "skipped": {"tensorrt": "This machine has no NVIDIA GPU."}})
    return run


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run that was stopped in the middle of sparse training."""
    run = tmp_path / "stopped"
    recipe(run, name="stopped")
    metrics(run, "dense", 0.9889, 8)
    stage(run, "dense", 41.2)
    (run / "sparse").mkdir()
    return run


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A run in which every name tries to be code, and one record is damaged."""
    evil = "<script>document.title='owned'</script><img src=http://example.com/x onerror=alert(1)>"
    run = tmp_path / "hostile"
    recipe(run, name=evil)
    training(run)
    layers = [layer.model_copy(update={"name": f"{evil}{i}", "reason": evil}) for i, layer in enumerate(LAYERS)]
    bundle(run, layers)
    folder = engine(run, layers)
    dump(folder / "validate/validation.json", validation_record(0.9, last=evil * 3))
    (folder / "profile/profile.json").write_text("{")
    return run


def _in_pictures(run: Path, metric: str, values: dict[str, float]) -> None:
    """Turns what was measured as accuracy into the metric of pictures."""
    for name, value in values.items():
        path = run / name / "metrics.json"
        content = json.loads(path.read_text())
        history = [{"epoch": row["epoch"], metric: value, "lr": 0.1} for row in content["history"]]
        one_shot = {f"one_shot_{metric}": 3 * value} if name == "sparse" else {}
        dump(path, {metric: value, "feature_distance": value, **one_shot, "history": history})


def paint(run: Path, metric: str) -> Path:
    """The same run of a network that makes pictures; the engine's fifth picture is spoilt."""
    value, dense = (0.9512, 0.9634) if metric == "ssim" else (3.214, 2.987)
    _in_pictures(run, metric, {"dense": dense, "sparse": value, "calibrate": value, "qat": value})
    draw = np.random.default_rng(0)
    made = draw.uniform(-1, 1, (8, 1, 12, 12)).astype(np.float32)
    held = {"targets": made, "dense": made * 0.9, "pytorch": made * 0.8}
    save_npz(run / "bundle/pictures.npz", held | ({"input": -made} if metric == "ssim" else {}))
    path = run / "bundle/bundle.json"
    manifest = Manifest.model_validate(json.loads(path.read_text()))
    listed = {"pictures.npz": sha256(run / "bundle/pictures.npz")}
    dump(path, manifest.model_copy(update={"files": listed, "metric": metric, "span": (-1.0, 1.0)}))
    folder = engine(run)
    engine_pictures = held["pytorch"].copy()
    engine_pictures[4] = np.nan
    save_npz(folder / "validate/samples.npz", {"pictures": engine_pictures})
    alike = Agreement(snr_db=44.1, samples=256, ssim=0.9967, psnr_db=38.2)
    record = validation_record().model_copy(update={
        "metric": metric, "value": value, "pytorch_value": value, "dense_value": dense, "agreement": alike,
        "noise_floor": alike, "options": ValidateConfig(metric=metric, max_drop=0.1),
        "feature_distances": {"engine": 3.214, "pytorch": 3.2, "dense": 2.987},
    })
    dump(folder / "validate/validation.json", record)
    return run


@pytest.fixture
def painted(finished: Path) -> Path:
    """A run of a network that makes pictures, in pairs."""
    return paint(finished, "ssim")


@pytest.fixture
def unpaired(finished: Path) -> Path:
    """A run of a network that makes pictures of noise."""
    return paint(finished, "feature_distance")
