from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from twofour.common import files
from twofour.common.bundle import EVAL, MANIFEST, MODEL, REFERENCE, Agreement, Manifest, read
from twofour.common.errors import UserError
from twofour.engines.backend import find
from twofour.engines.config import OnnxRuntimeConfig
from twofour.engines.onnxruntime import build as building
from twofour.engines.records import read_engine

CONFIG = OnnxRuntimeConfig(threads=1)
PRUNED = "body.0.conv1"


@pytest.fixture
def bundle(tmp_path, tools):
    return make_bundle(tmp_path / "bundle", tools.resnet(prune={PRUNED}))


def make_bundle(folder: Path, proto: onnx.ModelProto):
    folder.mkdir()
    onnx.save(proto, str(folder / MODEL))
    for name in (REFERENCE, EVAL):
        files.save_npz(folder / name, {"inputs/x": inputs(2)})
    manifest = Manifest(
        name="small", files=files.hashes(folder, [MODEL, REFERENCE, EVAL]), inputs=[], outputs=[], layers=[], ranges=[],
        metric="accuracy", metrics={}, eval_metric=0.5,
        noise_floor=Agreement(predictions=1, snr_db=None, samples=2), versions={},
    )
    files.write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    return read(folder)


def inputs(batch):
    return np.random.default_rng(batch).standard_normal((batch, 3, 8, 8)).astype(np.float32)


def build(bundle, folder):
    return find("onnxruntime").build(bundle, CONFIG, folder)


def infer(path, x):
    runner = find("onnxruntime").load(path, CONFIG)
    try:
        return runner.infer({"x": x})["logits"]
    finally:
        runner.close()


def test_builds_a_folder_that_reads_back(tmp_path, bundle):
    folder = tmp_path / "engines" / "onnxruntime-cpu"
    record = build(bundle, folder)
    assert read_engine(folder) == record
    assert sorted(path.name for path in folder.iterdir()) == ["engine.json", "engine.onnx", "fp32.onnx"]
    assert (folder / record.bundle).resolve() == bundle.folder.resolve()
    assert (record.backend, record.device, record.name, record.bundle_digest) == (
        "onnxruntime", "cpu", "small", bundle.digest
    )
    assert record.sizes["engine.onnx"] < record.sizes["fp32.onnx"] / 2


def test_engine_answers_as_the_master_does(tmp_path, bundle, tools):
    build(bundle, tmp_path / "engine")
    master = onnx.load(str(bundle.model))
    for batch in (1, 5):
        expected = tools.answer(master, inputs(batch))
        found = infer(tmp_path / "engine" / "engine.onnx", inputs(batch))
        assert found.shape == (batch, 10)
        signal, noise = np.mean(expected**2), np.mean((expected - found) ** 2)
        assert noise < signal / 1000  # 30 dB: rounding of requantization, a code here and there


def test_baseline_is_the_float_network(tmp_path, bundle, tools):
    build(bundle, tmp_path / "engine")
    baseline = onnx.load(str(tmp_path / "engine" / "fp32.onnx"))
    assert {node.op_type for node in baseline.graph.node} == {
        "Conv", "Relu", "Add", "GlobalAveragePool", "Flatten", "Gemm"
    }
    stem = next(t for t in baseline.graph.initializer if t.name == "stem.weight")
    master = next(t for t in onnx.load(str(bundle.model)).graph.initializer if t.name == "stem.weight")
    assert stem.raw_data == master.raw_data


def test_evidence_of_every_layer(tmp_path, bundle):
    layers = {layer.name: layer for layer in build(bundle, tmp_path / "engine").layers}
    assert len(layers) == 7
    assert [name for name, layer in layers.items() if layer.two_four] == [PRUNED]
    assert layers[PRUNED].zeros >= 0.5
    assert layers[PRUNED].shape == [16, 16, 3, 3]
    assert {layer.precision for layer in layers.values()} == {"int8"}
    assert layers[PRUNED].kernel == "QLinearConv"
    assert layers["head"].kernel == "QGemm"
    assert {layer.ran_sparse for layer in layers.values()} == {"no"}
    assert all("kernels are dense" in layer.reason for layer in layers.values())


def test_a_layer_without_quantizers_is_said_to_run_in_float(tmp_path, tools):
    graph = tools.Graph()
    x = graph.op("Relu", [graph.conv("x", "one", 3, 8)], "r")
    w = graph.const("w", np.ones((4, 8, 1, 1), np.float32))
    out = graph.op("Conv", [graph.quantize(x, "q", 0.1), w], "c", "two", kernel_shape=[1, 1])
    graph.op("Flatten", [out], "logits")
    record = build(make_bundle(tmp_path / "other", graph.model((3, 8, 8), "logits")), tmp_path / "engine")
    assert [(layer.name, layer.precision) for layer in record.layers] == [("one", "int8"), ("two", "float")]
    assert "1 of 2 weighted layers run on integers" in record.notes[-1]
    assert "two" in record.notes[-1]


def test_an_interrupted_build_leaves_no_engine_on_record(tmp_path, bundle, monkeypatch):
    build(bundle, tmp_path / "engine")
    monkeypatch.setattr(building, "inspect_layers", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(bundle, tmp_path / "engine")
    with pytest.raises(UserError, match="no engine"):
        read_engine(tmp_path / "engine")


def test_builds_the_same_bytes_again(tmp_path, bundle):
    first, second = build(bundle, tmp_path / "a"), build(bundle, tmp_path / "b")
    assert first.files == second.files


@pytest.mark.parametrize("content", [b"", b"not a model", None], ids=["empty", "garbage", "truncated"])
def test_damaged_engine(tmp_path, bundle, content):
    build(bundle, tmp_path / "engine")
    path = tmp_path / "engine" / "engine.onnx"
    path.write_bytes(path.read_bytes()[:-2000] if content is None else content)
    with pytest.raises(UserError, match=r"engine\.onnx"):
        infer(path, inputs(1))


def test_missing_engine(tmp_path):
    with pytest.raises(UserError, match="missing"):
        infer(tmp_path / "none.onnx", inputs(1))


def test_damaged_master(tmp_path, bundle):
    bundle.model.write_bytes(b"\x08\x01")
    with pytest.raises(UserError, match=r"model\.onnx"):
        build(bundle, tmp_path / "engine")
    assert not (tmp_path / "engine" / "engine.json").exists()


@pytest.mark.parametrize(
    "given", [{}, {"y": inputs(1)}, {"x": inputs(1)[0]}, {"x": inputs(1).astype(np.float64)}], ids=str
)
def test_wrong_inputs(tmp_path, bundle, given):
    build(bundle, tmp_path / "engine")
    runner = find("onnxruntime").load(tmp_path / "engine" / "engine.onnx", CONFIG)
    with pytest.raises(UserError):
        runner.infer(given)


def test_is_silent(tmp_path, bundle, capfd):
    build(bundle, tmp_path / "engine")
    infer(tmp_path / "engine" / "engine.onnx", inputs(1))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_imports_no_torch():
    code = "import sys, twofour.engines.onnxruntime.backend; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
