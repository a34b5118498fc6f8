"""Weights in a file beside the graph, from the export to the answers: the threshold is lowered, all else is real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from twofour.common import bundle, files
from twofour.common.bundle import Layer
from twofour.engines.config import OnnxRuntimeConfig
from twofour.engines.inspect import inspect
from twofour.engines.onnxruntime.build import build_engine
from twofour.engines.onnxruntime.session import open_session
from twofour.export.config import ExportConfig
from twofour.export.graph.load import load
from twofour.export.graph.precision import type_rest
from twofour.export.graph.save import save
from twofour.export.graph.two_four import check_file
from twofour.export.stage import ExportRequest, export_bundle
from twofour.pipeline.foreign import foreign_stage
from twofour.pipeline.onnx_recipe import OnnxRecipe

SPARSE = ["body.0.conv1", "body.1.conv1", "body.1.conv2", "up", "head"]


@pytest.fixture(autouse=True)
def low_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "__defaults__", (1000,))


def exported(network: Any, pictures: Any, folder: Path, **settings: Any) -> bundle.Bundle:
    layers = [Layer(name=name, kind="x", shape=list(network.get_submodule(name).weight.shape), sparse=True, reason="x")
              for name in SPARSE]
    config = ExportConfig(reference_samples=16, eval_samples=20, layer_samples=3, **settings)
    export_bundle(ExportRequest("large", network, pictures, config, layers, [], "accuracy", {}), folder)
    return bundle.read(folder)


def external(path: Path) -> list[str]:
    """The weights that lie in another file."""
    initializers = load(path).graph.initializers.values()
    return [str(value.name) for value in initializers if isinstance(value.const_value, ir.ExternalTensor)]


def answers(path: Path, read: bundle.Bundle, *, plain: bool) -> Any:
    x = read.arrays(bundle.REFERENCE, "inputs")["picture"]
    return open_session(path, 1, plain=plain).run(None, {"picture": x})[0]


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["float", "int8"])
@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_from_the_export_to_the_answers(
    resnet: Any, pictures: Any, tmp_path: Path, exporter: str, weights: str
) -> None:
    read = exported(resnet, pictures, tmp_path / "bundle", exporter=exporter, weights=weights)
    assert set(read.manifest.files) >= {"model.onnx", "model.onnx.data"}
    assert external(read.model)
    assert {found.name for found in check_file(read.model) if found.two_four} >= set(SPARSE)
    with torch.no_grad():
        asked = torch.from_numpy(read.arrays(bundle.REFERENCE, "inputs")["picture"])
        wanted = resnet.eval()(asked).numpy()
    plain = answers(read.model, read, plain=True)
    np.testing.assert_array_equal(plain.argmax(1), wanted.argmax(1))

    found = inspect(read.folder)
    assert {layer.name for layer in found.layers if layer.two_four} >= set(SPARSE)
    assert not [finding for finding in found.findings if finding.severity == "error"]

    typed = load(read.model)
    assert type_rest(typed, "fp16", {}).casts
    save(typed, tmp_path / "typed" / "model.onnx")
    assert external(tmp_path / "typed" / "model.onnx")
    half = answers(tmp_path / "typed" / "model.onnx", read, plain=True)
    assert np.mean(half.argmax(1) == wanted.argmax(1)) >= 0.9

    record = build_engine(read, OnnxRuntimeConfig(), tmp_path / "engine", "cpu")
    assert set(record.files) == {f"{name}.onnx{end}" for name in ("engine", "fp32") for end in ("", ".data")}
    engine = answers(tmp_path / "engine" / "engine.onnx", read, plain=False)
    np.testing.assert_array_equal(engine.argmax(1), wanted.argmax(1))


@pytest.mark.slow
def test_a_foreign_file_with_its_weights_beside_it(resnet: Any, pictures: Any, tmp_path: Path) -> None:
    read = exported(resnet, pictures, tmp_path / "given")
    stored = files.load_npz(read.folder / bundle.EVAL)
    files.save_npz(tmp_path / "x.npz", {"picture": stored["inputs/picture"], "targets": stored["targets"]})
    recipe = OnnxRecipe.model_validate(
        {"name": "foreign", "model": {"onnx": str(read.model), "inputs": str(tmp_path / "x.npz")}}
    )
    foreign_stage(recipe, tmp_path / "bundle")
    taken = bundle.read(tmp_path / "bundle")
    assert set(taken.manifest.files) >= {"model.onnx", "model.onnx.data"}
    assert not [path for path in taken.folder.iterdir() if path.name not in {*taken.manifest.files, bundle.MANIFEST}]
    assert {layer.name for layer in taken.manifest.layers if layer.sparse} >= set(SPARSE)
    asked = taken.arrays(bundle.REFERENCE, "inputs")["picture"]
    given = open_session(read.model, 1, plain=True).run(None, {"picture": asked})[0]
    np.testing.assert_array_equal(taken.arrays(bundle.REFERENCE, "outputs")["logits"], given)
    np.testing.assert_array_equal(answers(taken.model, taken, plain=True), given)
    record = build_engine(taken, OnnxRuntimeConfig(), tmp_path / "engine", "cpu")
    assert "engine.onnx.data" in record.files
    engine = answers(tmp_path / "engine" / "engine.onnx", taken, plain=False)
    np.testing.assert_array_equal(engine.argmax(1), given.argmax(1))


GROWTH = """
import sys, json, argparse, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import large_model
from twofour.common.measure import measured
from twofour.export.graph.save import save
save.__defaults__ = (1000,)
given = argparse.Namespace(dim=1024, depth=6, exporter=sys.argv[2], weights="float")
with tempfile.TemporaryDirectory() as folder, measured() as before:
    large_model.export(Path(folder), argparse.Namespace(**{**vars(given), "dim": 64, "depth": 1}))
with tempfile.TemporaryDirectory() as folder:
    found = large_model.export(Path(folder), given)
growth = found["peak_memory_bytes"] - before.peak_memory_bytes
print(json.dumps({"times": growth / found["weight_bytes"]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_memory_grows_with_the_weights_and_no_faster(exporter: str) -> None:
    """Against a small network's export in the same process: the network, its graph, and little else."""
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    done = subprocess.run([sys.executable, "-c", GROWTH, str(benchmarks), exporter], capture_output=True, text=True,
                          check=True)
    assert json.loads(done.stdout.splitlines()[-1])["times"] < 2.5
