import json

import pytest
import torch

from twofour.common.errors import UserError
from twofour.training import loop
from twofour.training.config import DataConfig, GroupKnowledgeConfig, ModelConfig, OptimizerConfig, TrainConfig
from twofour.training.factory import build_data
from twofour.training.group_knowledge.recalibrate import recalibrate
from twofour.training.restore import load_stage
from twofour.training.stage import StageRequest, train_stage
from twofour.training.weights import read_tensors

DATA = DataConfig(factory="twofour_tests.training.gpusq.few_digits:few", args={"size": 8})
MODEL = ModelConfig(factory="twofour.training.models:tiny_resnet", args={"widths": [8, 16], "blocks": 2})


@pytest.fixture(scope="module", autouse=True)
def few_digits(load):
    load("training/gpusq/few_digits.py")


def ask(epochs=2, model=MODEL, data=DATA, average=None, **config):
    train = TrainConfig(stage="dense", method="group_knowledge", epochs=epochs, optimizer=OptimizerConfig(lr=0.05),
                        group_knowledge=GroupKnowledgeConfig(**config), average=average)
    return StageRequest(model=model, data=data, train=train, seed=0, key="key")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("said", [{}, {"survival": 0.5}, {"average": 0.9}])
def test_a_killed_stage_ends_like_one_that_was_not(tmp_path, said, monkeypatch):
    request, whole, killed, save = ask(**said), tmp_path / "whole", tmp_path / "killed", loop.checkpoint.save
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
    for file in ("weights.safetensors", "metrics.json", "group_knowledge.json"):
        assert (whole / file).read_bytes() == (killed / file).read_bytes(), file


def test_what_is_saved_has_the_whole_networks_statistics_and_is_what_was_measured(tmp_path):
    from twofour.training.evaluate import evaluate

    metrics = train_stage(ask(groups=1, loops=1), tmp_path)
    network, data = load_stage(MODEL, tmp_path), build_data(DATA)
    assert evaluate(network, data.val) == pytest.approx(metrics)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    recalibrate(network, data.train, 2000)
    for name, value in network.state_dict().items():
        assert torch.allclose(value.float(), before[name].float(), atol=1e-5), name
    train_stage(ask(groups=1, loops=1, recalibrate=0), tmp_path / "mixed")
    mixed = read_tensors(tmp_path / "mixed" / "weights.safetensors")
    assert torch.equal(mixed["bn.weight"], before["bn.weight"])  # it trains the same
    assert not torch.allclose(mixed["body.3.bn2.running_var"], before["body.3.bn2.running_var"], rtol=1e-2)


@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_networks_of_transformers_train(tmp_path, load, name):
    networks = load("training/group_knowledge/networks.py")
    pytest.importorskip("transformers")
    factory, args, size = networks.NETWORKS[name]
    data = DataConfig(factory=DATA.factory, args={"size": size})
    train_stage(ask(1, ModelConfig(factory=factory, args=args), data), tmp_path)
    record = json.loads((tmp_path / "group_knowledge.json").read_text())
    assert 0 < record["groups"][1]["kept"] <= record["groups"][0]["kept"] <= 1
    assert set(read_tensors(tmp_path / "weights.safetensors")) == set(networks.built(name)[0].state_dict())


def test_what_cant_be_used_is_told_before_any_training(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "learning_rate", None)  # no step can be taken
    with pytest.raises(UserError, match=r"body\.0 \(1 block\), body\.1 \(1 block\)"):
        train_stage(ask(model=MODEL.model_copy(update={"args": {"widths": [8, 16], "blocks": 1}})), tmp_path)
    vit = ModelConfig(factory="twofour.training.models:tiny_vit", args={"dim": 16, "depth": 1, "heads": 1, "size": 8})
    with pytest.raises(UserError, match="no residual stage"):
        train_stage(ask(model=vit), tmp_path)


@pytest.mark.parametrize(("said", "measured"), [({"survival": 0.5}, {"kept"}), ({}, {"kept", "gap"})])
def test_a_distance_is_on_record_only_where_something_teaches(tmp_path, said, measured):
    train_stage(ask(1, **said), tmp_path)
    groups = json.loads((tmp_path / "group_knowledge.json").read_text())["groups"]
    assert all(group.keys() == measured for group in groups)
