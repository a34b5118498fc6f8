"""Generators through the stages of training, a few steps each."""

import json

import pytest
import torch

from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training import loop
from twofour.training.calibration import calibration_stage
from twofour.training.eligibility import reduction_axis
from twofour.training.gan.adversary import DISCRIMINATOR, Adversary
from twofour.training.masks import is_two_four
from twofour.training.restore import load_stage, read_layers, read_masks
from twofour.training.stage import train_stage
from twofour.training.weights import read_tensors


class Killed(BaseException):
    pass


def kill_after(monkeypatch, epoch):
    whole = loop.checkpoint.save

    def save(folder, key, state):
        whole(folder, key, state)
        if state.epoch == epoch:
            raise Killed

    monkeypatch.setattr(loop.checkpoint, "save", save)


def same(first, second, name="weights.safetensors"):
    a, b = read_tensors(first / name), read_tensors(second / name)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("case", "metric"), [("noise", "feature_distance"), ("edges", "ssim")])
def test_the_whole_way_keeps_the_masks(tmp_path, ask, case, metric):
    dense, sparse, calibrated, qat = (tmp_path / name for name in ("dense", "sparse", "calibrate", "qat"))
    assert next(iter(train_stage(ask("dense", 2, case=case), dense))) == metric
    curve = {"initial": 0.05, "end": 0.5, "every": 1}
    train_stage(ask("sparse", 2, dense, dense, case=case, gradual=curve), sparse)
    told = calibration_stage(ask.models[case], ask.data[case], CalibrateConfig(batches=1), sparse, calibrated, 0)
    assert next(iter(told)) == metric
    train_stage(ask("qat", 1, calibrated, sparse, case=case), qat)
    masks = read_masks(qat)
    kinds = {layer.kind for layer in read_layers(qat) if layer.sparse}
    assert "ConvTranspose2d" in kinds
    assert masks.keys() == {f"{layer.name}.weight" for layer in read_layers(qat) if layer.sparse}
    network = load_stage(ask.models[case], dense)
    for folder in (sparse, calibrated, qat):
        weights = read_tensors(folder / "weights.safetensors")
        for name, mask in masks.items():
            axis = reduction_axis(network.get_submodule(name.removesuffix(".weight")))
            assert not weights[name][~mask].any()
            assert is_two_four(weights[name], axis)
    assert not same(calibrated, qat)
    assert not same(dense, sparse, DISCRIMINATOR)
    assert (qat / DISCRIMINATOR).is_file()
    assert f"one_shot_{metric}" in json.loads((sparse / "metrics.json").read_text())


@pytest.mark.parametrize("stage", ["dense", "sparse"])
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path, ask, monkeypatch, stage):
    start = tmp_path / "start"
    train_stage(ask("dense", 1, case="noise"), start)
    before = {} if stage == "dense" else {"student": start, "teacher": start, "gradual": {"every": 1}}
    request = ask(stage, 3, case="noise", **before)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    metrics = train_stage(request, whole)
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(Killed):
            train_stage(request, killed)
    torch.manual_seed(99)
    assert train_stage(request, killed) == metrics
    assert same(whole, killed)
    assert same(whole, killed, DISCRIMINATOR)


def test_the_discriminator_goes_on_where_the_stage_before_left_it(tmp_path, ask):
    train_stage(ask("dense", 1), tmp_path / "dense")
    frozen = ask("sparse", 1, tmp_path / "dense", tmp_path / "dense", gan={"freeze": True})
    train_stage(frozen, tmp_path / "sparse")
    assert same(tmp_path / "dense", tmp_path / "sparse", DISCRIMINATOR)


def test_plain_fine_tuning_holds_whole_masks_from_the_start(tmp_path, ask):
    train_stage(ask("dense", 1, case="noise"), tmp_path / "dense")
    request = ask("sparse", 0, tmp_path / "dense", tmp_path / "dense", case="noise", method="gan")
    one_shot = train_stage(request, tmp_path / "pruned")
    again = ask("sparse", 1, tmp_path / "dense", tmp_path / "dense", case="noise", method="gan")
    train_stage(again, tmp_path / "sparse")
    assert read_masks(tmp_path / "sparse").keys() == read_masks(tmp_path / "pruned").keys()
    assert same(tmp_path / "sparse", tmp_path / "pruned", "masks.safetensors")
    told = json.loads((tmp_path / "sparse" / "metrics.json").read_text())
    assert told["one_shot_feature_distance"] == one_shot["feature_distance"]


def test_whole_filters_of_both_kinds_of_convolution_go(tmp_path, ask):
    train_stage(ask("dense", 1), tmp_path / "dense")
    request = ask("sparse", 1, tmp_path / "dense", tmp_path / "dense", pattern="filters", sparsity=0.25)
    train_stage(request, tmp_path / "sparse")
    weights = read_tensors(tmp_path / "sparse" / "weights.safetensors")
    for name, axis in (("middle.conv.weight", 0), ("up1.conv.weight", 1)):
        gone = (weights[name] == 0).movedim(axis, 0).flatten(1)
        assert int(gone.all(1).sum()) == gone.shape[0] // 4
        assert int(gone.any(1).sum()) == gone.shape[0] // 4
    assert not any(layer.sparse for layer in read_layers(tmp_path / "sparse"))


def test_a_discriminator_that_is_missing_is_told(tmp_path, ask):
    train_stage(ask("dense", 0), tmp_path / "dense")
    (tmp_path / "dense" / DISCRIMINATOR).unlink()
    with pytest.raises(UserError, match="no trained discriminator"):
        train_stage(ask("sparse", 1, tmp_path / "dense", tmp_path / "dense"), tmp_path / "sparse")
    with pytest.raises(UserError, match="recipe names none"):
        train_stage(ask("dense", 1, gan={"discriminator": None}), tmp_path / "other")


def test_a_trained_discriminator_can_be_brought(tmp_path, ask):
    train_stage(ask("dense", 1), tmp_path / "dense")
    brought = tmp_path / "brought.safetensors"
    (tmp_path / "dense" / DISCRIMINATOR).rename(brought)
    named = {**ask.gan("edges")["discriminator"], "weights": str(brought)}
    train_stage(ask("sparse", 0, tmp_path / "dense", tmp_path / "dense", gan={"discriminator": named}), tmp_path / "s")
    assert read_tensors(tmp_path / "s" / DISCRIMINATOR).keys() == read_tensors(brought).keys()
    kept = read_tensors(brought)
    assert all(torch.equal(value, kept[name]) for name, value in read_tensors(tmp_path / "s" / DISCRIMINATOR).items())


def test_a_discriminator_that_diverges_stops_and_the_checkpoint_before_it_is_kept(tmp_path, ask, monkeypatch):
    real = Adversary.learn

    def learn(self, inputs, pictures, made, where):
        if where.startswith("epoch 2, train loader, batch 1"):
            next(self.module.parameters()).data.fill_(float("nan"))
        real(self, inputs, pictures, made, where)

    monkeypatch.setattr(Adversary, "learn", learn)
    with pytest.raises(UserError, match=r"epoch 2, train loader, batch 1: .*discriminator's loss became nan"):
        train_stage(ask("dense", 3, case="noise"), tmp_path)
    assert (tmp_path / "checkpoint-0001.safetensors").is_file()


def test_the_discriminator_s_rate_follows_the_generator_s(tmp_path, ask, monkeypatch):
    shares = []
    monkeypatch.setattr(Adversary, "pace", lambda self, share: shares.append(share))
    train_stage(ask("dense", 3, case="noise"), tmp_path)
    assert max(shares) > 0.9
    assert shares[-1] < 0.1
    assert len(shares) == 12
