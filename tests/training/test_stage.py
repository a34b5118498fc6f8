import json
import re

import pytest
import torch

from twofour.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training import loop
from twofour.training.calibration import calibration_stage
from twofour.training.masks import is_two_four
from twofour.training.restore import load_stage, read_layers, read_masks, read_ranges
from twofour.training.stage import forget, train_stage
from twofour.training.weights import read_tensors, save_tensors


class Killed(BaseException):
    pass


def kill_after(monkeypatch, epoch):
    whole = loop.checkpoint.save

    def save(folder, key, state):
        whole(folder, key, state)
        if state.epoch == epoch:
            raise Killed

    monkeypatch.setattr(loop.checkpoint, "save", save)


def same(first, second):
    a, b = read_tensors(first / "weights.safetensors"), read_tensors(second / "weights.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path, ask, monkeypatch, optimizer):
    request = ask("dense", 3, optimizer={"name": optimizer})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    metrics = train_stage(request, whole)
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(Killed):
            train_stage(request, killed)
    assert (killed / "checkpoint-0002.safetensors").is_file()
    torch.manual_seed(99)
    assert train_stage(request, killed) == metrics
    assert same(whole, killed)
    assert (whole / "metrics.json").read_text() == (killed / "metrics.json").read_text()
    forget(killed)
    assert sorted(path.name for path in killed.iterdir()) == ["metrics.json", "weights.safetensors"]


@pytest.mark.parametrize("stage", ["dense", "sparse"])
def test_a_stage_killed_before_it_is_on_record_ends_at_once_with_the_same_files(tmp_path, ask, monkeypatch, stage):
    request = ask(stage, 2)
    metrics = train_stage(request, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "checkpoint-0002.safetensors" in before
    (tmp_path / "weights.safetensors").unlink()
    monkeypatch.setattr(loop, "learning_rate", None)  # no step can be taken
    monkeypatch.setattr(loop, "evaluate", None)
    torch.manual_seed(99)
    assert train_stage(request, tmp_path) == metrics
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_checkpoint_of_other_inputs_is_not_used(tmp_path, ask, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(Killed):
            train_stage(ask("dense", 2, key="old", seed=5), tmp_path / "a")
    train_stage(ask("dense", 2), tmp_path / "a")
    train_stage(ask("dense", 2), tmp_path / "b")
    assert same(tmp_path / "a", tmp_path / "b")


def test_the_whole_way_keeps_the_masks_and_learns(tmp_path, ask, model, data):
    dense, sparse, calibrated, qat = (tmp_path / name for name in ("dense", "sparse", "calibrate", "qat"))
    more = data.model_copy(update={"args": {"batch": 64, "size": 8}})
    first = train_stage(ask("dense", 4, data=more), dense)
    train_stage(ask("sparse", 3, student=dense, teacher=dense, data=more), sparse)
    calibration_stage(model, data, CalibrateConfig(batches=1), sparse, calibrated, 0)
    last = train_stage(ask("qat", 1, student=calibrated, teacher=sparse), qat)
    assert first["accuracy"] > 0.6
    assert last["accuracy"] > first["accuracy"] - 0.1
    masks = read_masks(qat)
    assert masks.keys() == {f"{layer.name}.weight" for layer in read_layers(qat) if layer.sparse}
    for folder in (sparse, calibrated, qat):
        weights = read_tensors(folder / "weights.safetensors")
        assert masks
        assert all(is_two_four(weights[name], 1) and not weights[name][~mask].any() for name, mask in masks.items())
    assert read_ranges(qat) == read_ranges(calibrated)
    assert not same(qat, calibrated)
    record = json.loads((sparse / "metrics.json").read_text())
    assert [entry["epoch"] for entry in record["history"]] == [1, 2, 3]
    assert record["one_shot_accuracy"] < first["accuracy"]


def test_zero_epochs_prune_and_measure_only(tmp_path, ask):
    metrics = train_stage(ask("sparse", 0), tmp_path)
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["history"] == []
    assert record["one_shot_accuracy"] == metrics["accuracy"]


def test_channels_are_permuted_before_pruning_and_only_the_weights_change_place(tmp_path, ask):
    dense = tmp_path / "dense"
    train_stage(ask("dense", 1), dense)
    plain, moved = tmp_path / "plain", tmp_path / "moved"
    train_stage(ask("sparse", 0, student=dense), plain)
    train_stage(ask("sparse", 0, student=dense, said={"permute": True}), moved)
    assert json.loads((moved / "permutation.json").read_text())["groups"]
    before, less, after = (read_tensors(folder / "weights.safetensors") for folder in (dense, plain, moved))
    masks = read_masks(moved)
    assert sum(after[name].abs().sum() for name in masks) > sum(less[name].abs().sum() for name in masks)
    permuted = read_tensors(moved / "permuted.safetensors")
    for name, value in before.items():
        assert torch.equal(value.flatten().sort().values, permuted[name].flatten().sort().values)
        if name not in masks:
            assert torch.equal(after[name], permuted[name])
    forget(moved)
    assert not (moved / "permuted.safetensors").exists()


def test_a_killed_permuting_stage_ends_as_one_that_was_not(tmp_path, ask, monkeypatch):
    dense = tmp_path / "dense"
    train_stage(ask("dense", 1), dense)
    request = ask("sparse", 2, student=dense, teacher=dense,
                  said={"method": "gpusq", "distill": None, "permute": True})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_stage(request, whole)
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(Killed):
            train_stage(request, killed)
    monkeypatch.setattr("twofour.training.permutation.stage.permute", None)  # it isn't searched again
    train_stage(request, killed)
    assert same(whole, killed)
    for name in ("permutation.json", "metrics.json"):
        first, second = (json.loads((folder / name).read_text()) for folder in (whole, killed))
        for group in [*first.get("groups", []), *second.get("groups", [])]:
            del group["seconds"]
        assert first == second


def test_a_restored_network_answers_as_before(tmp_path, ask, model, data):
    train_stage(ask("sparse", 1), tmp_path / "s")
    metrics = calibration_stage(model, data, CalibrateConfig(method="max"), tmp_path / "s", tmp_path / "c", 0)
    from twofour.training.evaluate import evaluate
    from twofour.training.factory import build_data

    assert evaluate(load_stage(model, tmp_path / "c"), build_data(data).val) == metrics


def test_qat_without_ranges_is_refused(tmp_path, ask):
    train_stage(ask("dense", 0), tmp_path / "dense")
    with pytest.raises(UserError, match="calibrat"):
        train_stage(ask("qat", 1, student=tmp_path / "dense"), tmp_path / "qat")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, ask, monkeypatch):
    real = loop.check_loss

    def check(loss, epoch, step):
        real(loss * float("nan") if (epoch, step) == (2, 1) else loss, epoch, step)

    monkeypatch.setattr(loop, "check_loss", check)
    with pytest.raises(UserError, match=r"epoch 2, batch 1 of the train loader.*nan"):
        train_stage(ask("dense", 3), tmp_path)
    assert (tmp_path / "checkpoint-0001.safetensors").is_file()


def test_a_last_step_that_diverges_is_told_and_the_checkpoint_before_it_is_kept(tmp_path, ask, monkeypatch):
    real, steps = loop._Loop._step, []

    def step(self, inputs, targets, epoch, index):
        loss = real(self, inputs, targets, epoch, index)
        if (epoch, index) == (2, len(self.data.train) - 1):
            next(self.model.parameters()).data.fill_(float("nan"))
            steps.append(epoch)
        return loss

    monkeypatch.setattr(loop._Loop, "_step", step)
    with pytest.raises(UserError, match=r"dense, epoch 2, val loader: .*its loss is nan") as raised:
        train_stage(ask("dense", 3), tmp_path)
    assert steps == [2]
    assert raised.value.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-0001.safetensors", "checkpoint.json"]
    assert "NaN" not in (tmp_path / "checkpoint.json").read_text()


@pytest.mark.parametrize(("stage", "epochs"), [("dense", 0), ("dense", 1), ("sparse", 1)])
def test_weights_that_are_nan_are_told_before_anything_is_written(tmp_path, ask, model, stage, epochs):
    train_stage(ask("dense", 0), tmp_path / "good")
    weights = read_tensors(tmp_path / "good" / "weights.safetensors")
    next(tensor for name, tensor in weights.items() if name.endswith("weight")).fill_(float("nan"))
    save_tensors(tmp_path / "bad.safetensors", weights)
    bad = model.model_copy(update={"weights": str(tmp_path / "bad.safetensors")})
    with pytest.raises(UserError, match=rf"{stage}, .*val loader: .*NaN"):
        train_stage(ask(stage, epochs, model=bad), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_calibration_that_ends_in_nan_writes_nothing(tmp_path, ask, model, data, monkeypatch):
    train_stage(ask("dense", 0), tmp_path / "dense")
    real = calibrate.calibrate

    def diverge(network, loader, config):
        ranges = real(network, loader, config)
        next(network.parameters()).data.fill_(float("nan"))
        return ranges

    monkeypatch.setattr(calibrate, "calibrate", diverge)
    with pytest.raises(UserError, match="calibrate, val loader"):
        calibration_stage(model, data, CalibrateConfig(method="max", batches=1), tmp_path / "dense", tmp_path / "c", 0)
    assert not (tmp_path / "c").exists()


def test_each_epoch_says_a_line_where_no_bar_can_be_shown(tmp_path, ask, capsys):
    train_stage(ask("sparse", 2), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    number = r"[0-9.]+"
    told = [line for line in lines if "epoch" in line]
    for epoch, line in enumerate(told, 1):
        said = rf"train sparse: epoch {epoch} of 2, train loss {number}, accuracy {number}, {number} s"
        assert re.fullmatch(said, line)
    assert len(told) == 2
    assert [line.split(":")[0] for line in lines if "steps in" in line] == ["measure on val", "train sparse"]


def test_what_another_method_left_in_the_folder_goes(tmp_path, ask):
    from twofour.training.plan import RECORDS

    for name in RECORDS:
        (tmp_path / name).write_bytes(b"of a stage that is no more")
    train_stage(ask("dense", 1), tmp_path)
    assert "discriminator.safetensors" in RECORDS
    assert not [name for name in RECORDS if (tmp_path / name).exists()]
