"""Permuting a network before it is pruned: the function stays, more magnitude is kept, the rest is listed."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

from twofour.common import files
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.masks import magnitude_masks
from twofour.training.models import tiny_resnet, tiny_vit
from twofour.training.permutation import stage
from twofour.training.permutation.permute import CHANGED, permute

X = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def vit():
    torch.manual_seed(0)
    return tiny_vit(size=8, dim=32, depth=1, heads=2)


def kept(network):
    """What 2:4 masks keep of each sparse layer."""
    masks = magnitude_masks(network, list_layers(network, LayersConfig()))
    return {name: float((network.get_parameter(name).detach().abs() * mask).sum()) for name, mask in masks.items()}


@pytest.mark.parametrize("build", [vit, lambda: tiny_resnet(widths=(16, 32), blocks=1)], ids=["vit", "resnet"])
def test_more_is_kept_and_the_answers_stay(build):
    network = build().eval()
    before, old = network(X), kept(network)
    found = permute(network, list_layers(network, LayersConfig()), X)
    torch.testing.assert_close(network(X), before, rtol=1e-4, atol=1e-5)
    new = kept(network)
    for group in found.groups:
        names = [f"{name}.weight" for name in group.layers]
        assert sum(new[name] for name in names) >= sum(old[name] for name in names)
        assert group.default <= group.kept <= group.bound
    assert sum(new.values()) > 1.005 * sum(old.values())
    assert not found.left.keys() & {name for group in found.groups for name in group.layers}


def test_what_is_reported_is_what_masks_then_keep():
    network = vit()
    found = permute(network, list_layers(network, LayersConfig()), X)
    group = next(group for group in found.groups if group.layers == ["blocks.0.fc2"])
    assert (group.channels, group.rows) == (64, 32)
    assert kept(network)["blocks.0.fc2.weight"] == pytest.approx(group.kept, rel=1e-6)
    assert set(found.left) == {"embed"}


def test_a_network_that_cannot_be_followed_is_left(capsys):
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(16, 16)

        def forward(self, x):
            return torch.as_tensor(np.abs(self.a(x).detach().numpy().tolist() if x.sum() < 0 else x["nothing"]))

    network = Stubborn()
    found = permute(network, list_layers(network, LayersConfig()), torch.ones(1, 16))
    assert not found.groups
    assert "can't be followed" in found.left["a"]
    assert "No channels are permuted" in capsys.readouterr().err


def test_a_network_that_cannot_be_copied_is_permuted():
    network = vit().train()
    network.lock = threading.Lock()
    found = permute(network, list_layers(network, LayersConfig()), X)
    assert found.groups
    assert network.training


def test_channels_whose_move_would_change_the_answers_are_put_back(monkeypatch):
    network = vit()
    old = copy.deepcopy(network.state_dict())
    monkeypatch.setattr("twofour.training.permutation.permute._same", lambda before, after: False)
    found = permute(network, list_layers(network, LayersConfig()), X)
    assert not found.groups
    assert found.left["blocks.0.fc2"] == CHANGED
    assert all(torch.equal(value, old[name]) for name, value in network.state_dict().items())


def test_the_same_seed_finds_the_same():
    one, other = vit(), vit()
    for network in (one, other):
        permute(network, list_layers(network, LayersConfig()), X, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_an_interrupted_stage_does_not_search_again(tmp_path, monkeypatch):
    layers, loader = list_layers(vit(), LayersConfig()), [(X, torch.zeros(2))]
    first, second, third = vit(), vit(), vit()
    found = stage.permute_stage(first, layers, loader, "key", 0, tmp_path)
    searched = []
    monkeypatch.setattr(stage, "permute", lambda network, *_: searched.append(network) or found)
    assert stage.permute_stage(second, layers, loader, "key", 0, tmp_path) == found
    assert not searched
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in second.state_dict().items())
    stage.permute_stage(third, layers, loader, "another key", 0, tmp_path)
    assert searched == [third]
    stage.forget(tmp_path)
    assert files.read_json(tmp_path / stage.RECORD)["key"] == "another key"
    assert not (tmp_path / stage.NETWORK).exists()
