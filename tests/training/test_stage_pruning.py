import json

import pytest
import torch

from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training import loop, stage
from twofour.training.calibration import calibration_stage
from twofour.training.config import DataConfig, ModelConfig, OptimizerConfig, PhaseConfig
from twofour.training.evaluate import evaluate
from twofour.training.factory import build_data
from twofour.training.masks import is_two_four
from twofour.training.restore import load_stage, read_layers, read_masks, write_masks
from twofour.training.stage import train_stage
from twofour.training.weights import read_tensors

VIT = ModelConfig(factory="twofour.training.models:tiny_vit", args={"size": 8, "dim": 16, "depth": 1, "heads": 2})
FAST = OptimizerConfig(lr=0.05)
PHASES = [
    PhaseConfig(epochs=2, optimizer=FAST, data=DataConfig(factory="twofour.training.data:digits",
                                                          args={"batch": 500, "size": 8, "seed": 3})),
    PhaseConfig(epochs=2, optimizer=OptimizerConfig(name="adamw", lr=0.002, clip=1.0, label_smoothing=0.1)),
]
WAYS = {
    "asp, averaged": {"average": 0.9},
    "gradual, averaged": {"method": "gradual", "average": 0.9, "gradual": {"end": 0.6, "every": 1}},
    "gradual, killed on the way": {"method": "gradual", "gradual": {"end": 0.9, "every": 2}},
    "sr_ste": {"method": "sr_ste"},
    "sr_ste, averaged, phases": {"method": "sr_ste", "average": 0.9, "epochs": None, "optimizer": None,
                                 "phases": PHASES},
    "bf16": {"precision": "bf16", "optimizer": OptimizerConfig(name="adamw", lr=0.01, clip=0.5)},
}


class Killed(BaseException):
    pass


def kill_after(monkeypatch, epoch):
    whole = loop.checkpoint.save

    def save(folder, key, state):
        whole(folder, key, state)
        if state.epoch == epoch:
            raise Killed

    monkeypatch.setattr(loop.checkpoint, "save", save)


def held(folder):
    weights, masks = read_tensors(folder / "weights.safetensors"), read_masks(folder)
    assert masks
    return all(not weights[name][~mask].any() and is_two_four(weights[name], 1) for name, mask in masks.items())


@pytest.mark.parametrize("way", WAYS)
def test_killed_and_continued_equals_never_killed(tmp_path, ask, monkeypatch, model, data, way):
    model = VIT if way == "bf16" else model  # few processors are fast at convolutions in BF16
    request = ask("sparse", 3, said=WAYS[way], model=model)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    metrics = train_stage(request, whole)
    for epoch in (1, 2):
        with monkeypatch.context() as patch:
            kill_after(patch, epoch)
            with pytest.raises(Killed):
                train_stage(request, killed)
        torch.manual_seed(99)
    assert train_stage(request, killed) == metrics
    names = ("weights.safetensors", "masks.safetensors", "layers.json", "metrics.json")
    assert all((whole / name).read_bytes() == (killed / name).read_bytes() for name in names)
    assert held(whole)
    assert evaluate(load_stage(model, whole), build_data(data).val) == pytest.approx(metrics)


def test_the_average_is_what_is_measured_and_saved(tmp_path, ask):
    train_stage(ask("sparse", 2, said={"average": 0.5}), tmp_path / "average")
    train_stage(ask("sparse", 2), tmp_path / "plain")
    average, plain = (read_tensors(tmp_path / name / "weights.safetensors") for name in ("average", "plain"))
    checkpoint = read_tensors(tmp_path / "average" / "checkpoint-0002.safetensors")
    for name in ("stem.weight", "bn.running_mean"):
        assert torch.equal(checkpoint[f"model/{name}"], plain[name])  # the optimizer's own way is the same
        assert not torch.equal(average[name], plain[name])
        assert torch.equal(average[name], checkpoint[f"average/{name}"])


def test_each_phase_has_a_fresh_optimizer_its_data_and_a_whole_schedule(tmp_path, ask, monkeypatch):
    made, seen = [], []
    real_make, real_step = loop.make_optimizer, loop._Loop._step
    monkeypatch.setattr(loop, "make_optimizer", lambda model, config: made.append(config.name) or
                        real_make(model, config))
    monkeypatch.setattr(loop._Loop, "_step", lambda self, inputs, *rest: seen.append(len(inputs)) or
                        real_step(self, inputs, *rest))
    train_stage(ask("sparse", None, said={"epochs": None, "optimizer": None, "phases": PHASES}), tmp_path)
    assert made == ["sgd", "adamw"]
    assert seen == [500, 500, 197] * 2 + [300, 300, 300, 297] * 2
    history = json.loads((tmp_path / "metrics.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4]
    assert history[1]["lr"] < 0.01  # both schedules come down to zero
    assert history[3]["lr"] < 0.0005


def test_a_checkpoint_without_its_masks_is_refused(tmp_path, ask, monkeypatch):
    request = ask("sparse", 3)
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(Killed):
            train_stage(request, tmp_path)
    found = loop.checkpoint.load(tmp_path, request.key)
    bare = {name: tensor for name, tensor in found.tensors.items() if not name.startswith("masker/")}
    loop.checkpoint.save(tmp_path, request.key, loop.checkpoint.Checkpoint(1, bare, found.history))
    with pytest.raises(UserError, match="lacks its masks"):
        train_stage(request, tmp_path)


@pytest.fixture
def calibrated(tmp_path, ask, model, data):
    train_stage(ask("sparse", 0), tmp_path / "sparse")
    calibration_stage(model, data, CalibrateConfig(method="max", batches=1), tmp_path / "sparse", tmp_path / "c", 0)
    return tmp_path / "c"


def test_masks_that_are_gone_or_another_model_s_are_refused_before_training(tmp_path, ask, monkeypatch, calibrated):
    monkeypatch.setattr(stage, "fit", None)
    masks, layers = read_masks(calibrated), read_layers(calibrated)
    name = next(iter(masks))
    write_masks(calibrated, {**masks, name: ~masks[name]}, layers)
    with pytest.raises(UserError, match=r"another model's.*not zero"):
        train_stage(ask("qat", 1, student=calibrated), tmp_path / "qat")
    write_masks(calibrated, {**masks, "elsewhere.weight": masks[name]}, layers)
    with pytest.raises(UserError, match="no weight called elsewhere"):
        train_stage(ask("qat", 1, student=calibrated), tmp_path / "qat")
    write_masks(calibrated, {other: mask for other, mask in masks.items() if other != name}, layers)
    with pytest.raises(UserError, match=rf"masks of pruned layers \({name.removesuffix('.weight')}\) are missing"):
        train_stage(ask("qat", 1, student=calibrated), tmp_path / "qat")
    (calibrated / "masks.safetensors").unlink()
    with pytest.raises(UserError, match="masks of this pruned network are missing"):
        train_stage(ask("qat", 1, student=calibrated), tmp_path / "qat")


def test_masks_of_another_model_are_refused_before_calibration(tmp_path, calibrated, model, data):
    masks, layers = read_masks(calibrated), read_layers(calibrated)
    name = next(iter(masks))
    write_masks(tmp_path / "sparse", {**masks, name: ~masks[name]}, layers)
    with pytest.raises(UserError, match=r"another model's.*not zero"):
        calibration_stage(model, data, CalibrateConfig(method="max"), tmp_path / "sparse", tmp_path / "again", 0)
    assert not (tmp_path / "again").exists()


def test_another_pattern_is_pruned_held_and_not_called_two_four(tmp_path, ask):
    train_stage(ask("sparse", 1, said={"pattern": "unstructured", "sparsity": 0.75}), tmp_path)
    weights, masks = read_tensors(tmp_path / "weights.safetensors"), read_masks(tmp_path)
    assert masks
    for name, mask in masks.items():
        assert int((~mask).sum()) == round(0.75 * mask.numel())
        assert not weights[name][~mask].any()
    layers = {layer.name: layer for layer in read_layers(tmp_path)}
    assert not any(layers[name.removesuffix(".weight")].sparse for name in masks)
