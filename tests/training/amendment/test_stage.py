"""Whole dense stages on real digits."""

import json

import pytest
import torch

from twofour.common.errors import UserError
from twofour.training import loop
from twofour.training.amendment.attack import Attack
from twofour.training.amendment.measure import Attacked
from twofour.training.config import AdversarialAmendmentConfig, DataConfig, ModelConfig, OptimizerConfig, PhaseConfig
from twofour.training.evaluate import evaluate
from twofour.training.factory import build_data, build_model
from twofour.training.restore import load_stage
from twofour.training.stage import train_stage
from twofour.training.weights import read_tensors

DATA = DataConfig(factory="twofour_tests.training.amendment.nets:few")
MASKS = {
    "model": ModelConfig(factory="twofour.training.unet:tiny_unet", args={"widths": [16, 16]}),
    "data": DataConfig(factory="twofour_tests.training.amendment.nets:few_masks"),
}


@pytest.fixture(scope="module", autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


@pytest.fixture
def amend(ask):
    """`ask` for a dense stage of this method, two epochs, an eps that is felt."""

    def build(epochs=2, said=None, changes=None, **config):
        amendment = AdversarialAmendmentConfig(**{"attack_eps": 0.1, "attack_step_size": 0.1, **config})
        method = {"method": "adversarial_amendment", "adversarial_amendment": amendment}
        return ask("dense", epochs, said={**method, **(said or {})}, **{"data": DATA, **(changes or {})})

    return build


@pytest.mark.parametrize("changes", [{}, MASKS], ids=["classes", "masks"])
def test_a_stage_leaves_the_original_network_and_what_it_measured(tmp_path, amend, changes):
    request = amend(8, changes=changes)
    metrics = train_stage(request, tmp_path)
    weights, fresh = read_tensors(tmp_path / "weights.safetensors"), build_model(request.model).state_dict()
    assert weights.keys() == fresh.keys()
    network, data = load_stage(request.model, tmp_path), build_data(request.data)
    found = json.loads((tmp_path / "amendment.json").read_text())
    assert evaluate(network, data.val)["accuracy"] == found["accuracy"] == metrics["accuracy"]
    assert found["auxiliary_accuracy"] != found["accuracy"]
    assert found["attacked_accuracy"] < found["accuracy"]
    norms = [name.removesuffix(".running_mean") for name in fresh if name.endswith("running_mean")]
    assert list(found["distances"]) == norms
    assert min(distance[part] for distance in found["distances"].values() for part in ("mean", "variance")) > 0


def test_what_is_attacked_in_the_end_is_the_main_branch(tmp_path, amend):
    request = amend(8, attack_random_start=False)
    train_stage(request, tmp_path)
    data = build_data(request.data)
    judge = Attacked(Attack(0.1, 1, 0.1, random_start=False), data.bounds)
    found = evaluate(load_stage(request.model, tmp_path), data.val, judge=judge)
    assert json.loads((tmp_path / "amendment.json").read_text())["attacked_accuracy"] == found["accuracy"]


def test_with_one_batch_norm_there_is_nothing_to_compare(tmp_path, amend):
    train_stage(amend(1, auxiliary=False), tmp_path)
    found = json.loads((tmp_path / "amendment.json").read_text())
    assert (found["auxiliary_accuracy"], found["distances"]) == (None, {})
    assert 0 <= found["attacked_accuracy"] <= 1


class Killed(BaseException):
    pass


@pytest.mark.parametrize("average", [None, 0.9])
def test_a_killed_stage_ends_like_one_that_was_not(tmp_path, amend, monkeypatch, average):
    request = amend(said={"average": average}, mediate_rule="beta", attack_target="random")
    whole, killed, save = tmp_path / "whole", tmp_path / "killed", loop.checkpoint.save
    metrics = train_stage(request, whole)
    for epoch in (1, 2):
        with monkeypatch.context() as patch:
            def save_and_die(folder, key, state, last=epoch):
                save(folder, key, state)
                if state.epoch == last:
                    raise Killed

            patch.setattr(loop.checkpoint, "save", save_and_die)
            with pytest.raises(Killed):
                train_stage(request, killed)
    assert train_stage(request, killed) == metrics
    for file in ("weights.safetensors", "metrics.json", "amendment.json"):
        assert (whole / file).read_bytes() == (killed / file).read_bytes(), file


def test_each_phase_keeps_to_its_own_datas_bounds(tmp_path, amend, monkeypatch):
    seen, call = [], Attack.__call__

    def watch(self, model, inputs, targets, bounds, where):
        seen.append((inputs.shape[-1], round(float(bounds[0]), 3)))
        return call(self, model, inputs, targets, bounds, where)

    monkeypatch.setattr(Attack, "__call__", watch)
    large = DataConfig(factory=DATA.factory, args={"size": 12})
    phases = [PhaseConfig(epochs=1, optimizer=OptimizerConfig(lr=0.05), data=large),
              PhaseConfig(epochs=1, optimizer=OptimizerConfig(lr=0.05))]
    train_stage(amend(None, said={"phases": phases, "optimizer": None}), tmp_path)
    least = {size: round(float(build_data(config).bounds[0]), 3) for size, config in ((12, large), (8, DATA))}
    assert least[12] != least[8]
    assert {(12, least[12]), (8, least[8])} == set(seen)


def test_a_network_without_batch_norm_is_refused_before_any_step_and_one_branch_will_do(tmp_path, amend, monkeypatch):
    changes = {"model": ModelConfig(factory="twofour.training.models:tiny_vit",
                                    args={"size": 8, "dim": 16, "depth": 1, "heads": 1})}
    train_stage(amend(1, changes=changes, auxiliary=False), tmp_path / "one")
    monkeypatch.setattr(loop, "learning_rate", None)
    with pytest.raises(UserError, match="no batch norm"):
        train_stage(amend(1, changes=changes), tmp_path / "two")


def test_a_stage_of_another_method_leaves_no_stale_record(tmp_path, ask, amend):
    train_stage(amend(1), tmp_path)
    assert (tmp_path / "amendment.json").is_file()
    train_stage(ask("dense", 1, key="other", data=DATA), tmp_path)
    assert not (tmp_path / "amendment.json").exists()


def test_it_can_start_from_trained_weights(tmp_path, ask, amend, model):
    train_stage(ask("dense", 2, data=DATA), tmp_path / "dense")
    start = model.model_copy(update={"weights": str(tmp_path / "dense" / "weights.safetensors")})
    train_stage(amend(1, changes={"model": start}), tmp_path / "amended")
    before, after = (read_tensors(tmp_path / part / "weights.safetensors") for part in ("dense", "amended"))
    moved = [float((after[name] - before[name]).abs().max()) for name in before if name.endswith("conv1.weight")]
    assert 0 < max(moved) < 0.5
    assert torch.isfinite(torch.cat([tensor.flatten().float() for tensor in after.values()])).all()
