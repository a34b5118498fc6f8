from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from twofour.common import bundle, files
from twofour.common.bundle import Layer, Range
from twofour.common.errors import TwofourError, UserError
from twofour.export import stage
from twofour.export.config import ExportConfig
from twofour.export.graph.load import load
from twofour.export.light_copy import light_copy
from twofour.export.stage import ExportRequest, export_bundle
from twofour.export.torch_onnx import export, export_file


class Fixed(nn.Module):
    """Answers one class for everything."""

    def __init__(self, label: int) -> None:
        super().__init__()
        self.label = label

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(torch.full((len(picture),), self.label), 10).float()


PRUNED = ["body.0.conv1", "body.1.conv1", "body.1.conv2", "up", "head"]


@pytest.fixture
def request_(resnet: nn.Module, pictures: Any) -> ExportRequest:
    layers = [
        Layer(
            name=name, kind=type(module).__name__, shape=list(module.weight.shape), sparse=name in PRUNED, reason="test"
        )
        for name, module in resnet.named_modules() if hasattr(module, "weight_quantizer") and "bn" not in name
    ]
    config = ExportConfig(exporter="torchscript", reference_samples=16, eval_samples=20, layer_samples=3)
    ranges = [Range(tensor="head.input_quantizer", method="max", amax=1.0, axis=None)]
    return ExportRequest("test", resnet, pictures, config, layers, ranges, "accuracy", {"dense": {"accuracy": 0.5}})


def test_a_whole_bundle(request_: ExportRequest, pictures: Any, tmp_path: Path, run: Any, capsys: Any) -> None:
    manifest = export_bundle(request_, tmp_path / "bundle")
    assert "export: tracing the network (torchscript)\n" in capsys.readouterr().err
    assert sorted(item.name for item in (tmp_path / "bundle").iterdir()) == sorted([*manifest.files, "bundle.json"])
    read = bundle.read(tmp_path / "bundle")
    assert read.manifest == manifest
    inputs, outputs = read.arrays("reference.npz", "inputs"), read.arrays("reference.npz", "outputs")
    with torch.no_grad():
        wanted = request_.network.eval()(torch.from_numpy(inputs["picture"])).numpy()
    np.testing.assert_allclose(outputs["logits"], wanted, atol=1e-6)
    found = run(load(read.model), inputs)
    assert np.mean(found["logits"].argmax(1) == wanted.argmax(1)) == 1
    evaluation = files.load_npz(tmp_path / "bundle" / "eval.npz")
    assert len(evaluation["targets"]) == len(evaluation["inputs/picture"]) == 20
    with torch.no_grad():
        answers = request_.network(torch.from_numpy(evaluation["inputs/picture"])).argmax(1).numpy()
    assert manifest.eval_metric == pytest.approx(np.mean(answers == evaluation["targets"]))
    assert manifest.inputs[0].shape == ["batch", 3, 8, 8]
    assert manifest.noise_floor.samples == 16


def test_layers_hold_every_activation_quantizer(request_: ExportRequest, tmp_path: Path, run: Any) -> None:
    export_bundle(request_, tmp_path)
    read = bundle.read(tmp_path)
    tensors = read.arrays("layers.npz", "tensors")
    assert set(tensors) == {
        "body.0.conv1.input_quantizer", "body.0.conv2.input_quantizer", "body.1.conv1.input_quantizer",
        "body.1.conv2.input_quantizer", "up.input_quantizer", "head.input_quantizer",
    }
    assert all(len(value) == 3 for value in tensors.values())
    few = {"picture": read.arrays("reference.npz", "inputs")["picture"][:3]}
    found = run(load(read.model), few, "body.0.conv1.input_quantizer")["body.0.conv1.input_quantizer"]
    np.testing.assert_allclose(found, tensors["body.0.conv1.input_quantizer"], atol=1e-6)


def test_the_reference_is_drawn_from_the_samples_of_the_metric(request_: ExportRequest, tmp_path: Path) -> None:
    export_bundle(request_, tmp_path)
    read = bundle.read(tmp_path)
    pool, drawn = (read.arrays(name, "inputs")["picture"] for name in ("eval.npz", "reference.npz"))
    places = [next(index for index, one in enumerate(pool) if np.array_equal(one, sample)) for sample in drawn]
    assert len(set(places)) == 16
    assert places != sorted(places)
    layers = read.arrays("layers.npz", "outputs")["logits"]
    np.testing.assert_allclose(layers, read.arrays("reference.npz", "outputs")["logits"][:3], atol=1e-6)


def test_the_dense_network_is_judged_on_the_same_samples_and_let_go(
    request_: ExportRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export_bundle(request_, tmp_path).dense_eval_metric is None
    pool = files.load_npz(tmp_path / "eval.npz")
    made: list[Any] = []

    def dense() -> nn.Module:
        network = Fixed(int(pool["targets"][0])).train()
        made.append(weakref.ref(network))
        return network

    wanted = np.mean(pool["targets"] == pool["targets"][0])
    monkeypatch.setattr(stage, "export_file", lambda *given: [one() for one in made] == [None] and export_file(*given))
    assert export_bundle(replace(request_, dense=dense), tmp_path).dense_eval_metric == pytest.approx(wanted)
    assert bundle.read(tmp_path).manifest.dense_eval_metric == pytest.approx(wanted)


def test_a_layer_that_is_not_two_four_stops_the_export(request_: ExportRequest, tmp_path: Path) -> None:
    export_bundle(request_, tmp_path)
    lie = Layer(name="body.0.conv2", kind="Conv2d", shape=[16, 8, 3, 3], sparse=True, reason="test")
    with pytest.raises(TwofourError, match="groups hold more than 2") as raised:
        export_bundle(replace(request_, layers=[lie]), tmp_path)
    assert raised.value.where == "body.0.conv2"
    assert raised.value.exit_code == 1
    bundle.read(tmp_path)  # the bundle that was there is whole
    assert not (tmp_path / ".bundle.tmp").exists()
    unknown = Layer(name="nowhere", kind="Conv2d", shape=[1], sparse=True, reason="test")
    with pytest.raises(TwofourError, match="no node has its name"):
        export_bundle(replace(request_, layers=[unknown]), tmp_path)


def test_an_unknown_metric_and_an_unwritable_folder(request_: ExportRequest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'f1'"):
        export_bundle(replace(request_, metric="f1"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        export_bundle(request_, tmp_path / "file" / "bundle")


def test_a_network_that_answers_nan_is_refused(request_: ExportRequest, tmp_path: Path) -> None:
    broken = [(torch.full((2, 3, 8, 8), float("nan")), torch.zeros(2, dtype=torch.long))]
    with pytest.raises(UserError, match="NaN"):
        export_bundle(replace(request_, val=broken), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_cleared(request_: ExportRequest, tmp_path: Path) -> None:
    first = export_bundle(request_, tmp_path)
    (tmp_path / ".bundle.tmp").mkdir()
    (tmp_path / ".bundle.tmp" / "model.onnx").write_bytes(b"half")
    (tmp_path / "model.onnx.data").write_bytes(b"of another export")
    (tmp_path / "mine.txt").write_text("the user's own file")
    second = export_bundle(request_, tmp_path)
    assert second.files == first.files
    assert {item.name for item in tmp_path.iterdir()} == {*first.files, "bundle.json", "mine.txt"}


@pytest.mark.slow
def test_killed_at_any_moment_there_is_a_whole_bundle_or_none(request_: ExportRequest, tmp_path: Path) -> None:
    first = export_bundle(request_, tmp_path)
    random = np.random.default_rng(0)
    for _ in range(6):
        process = multiprocessing.get_context("fork").Process(target=export_bundle, args=(request_, tmp_path))
        process.start()
        time.sleep(float(random.uniform(0, 1.5)))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if (tmp_path / "bundle.json").exists():
            assert bundle.read(tmp_path).manifest.files == first.files
    assert export_bundle(request_, tmp_path).files == first.files


def test_weights_stored_as_int8_answer_the_same_bit_for_bit(
    request_: ExportRequest, tmp_path: Path, run: Any
) -> None:
    sizes, answers = {}, {}
    for form in ("float", "int8"):
        config = request_.config.model_copy(update={"weights": form})
        export_bundle(replace(request_, config=config), tmp_path / form)
        model = load(tmp_path / form / "model.onnx")
        stored = [node for node in model.graph if node.op_type == "QuantizeLinear" and node.inputs[0].is_initializer()]
        assert bool(stored) is (form == "float")
        sizes[form] = (tmp_path / form / "model.onnx").stat().st_size
        picture = bundle.read(tmp_path / form).arrays("reference.npz", "inputs")["picture"]
        answers[form] = run(model, {"picture": picture})["logits"]
        expected, found = (files.load_npz(tmp_path / name / "layers.npz").keys() for name in ("float", form))
        assert expected == found
    np.testing.assert_array_equal(answers["int8"], answers["float"])
    assert sizes["int8"] < sizes["float"] / 2


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_weights_are_shared_and_not_written_to(resnet: nn.Module, pictures: Any, exporter: Any) -> None:
    before = {name: value.clone() for name, value in resnet.state_dict().items()}
    copied = light_copy(resnet)
    own, theirs = (dict(network.named_parameters()) for network in (resnet, copied))
    assert all(theirs[name].data_ptr() == own[name].data_ptr() for name in own)
    assert all(left.data_ptr() != right.data_ptr()
               for left, right in zip(resnet.buffers(), copied.buffers(), strict=True) if left.numel())
    export(resnet, (pictures[0][0],), ExportConfig(exporter=exporter))
    assert all(torch.equal(value, before[name]) for name, value in resnet.state_dict().items())


def test_a_network_that_cannot_be_copied(resnet: nn.Module, pictures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet, "lock", threading.Lock(), raising=False)
    with pytest.raises(UserError, match=r"can't be copied.*lock.*outside of the modules"):
        export(resnet, (pictures[0][0],), ExportConfig(exporter="torchscript"))
