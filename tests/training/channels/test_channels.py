"""Channels are followed through networks: what is permuted keeps the function, what can't be is left and said."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_leaves

from twofour.training.channels.apply import apply, undo
from twofour.training.channels.groups import Channels
from twofour.training.channels.tracer import trace
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.models import tiny_resnet, tiny_vit
from twofour.training.patches import patches_as_linear

ROOT = Path(__file__).parents[3]


def shuffled(network, example, seed=0):
    """The network with every group in a random order: its layers that were permuted, and why the others weren't."""
    network = restless(network).eval().double()
    before = answers(network, example)
    sparse = {f"{layer.name}.weight": layer.name for layer in list_layers(network, LayersConfig()) if layer.sparse}
    channels = Channels(trace(network, example))
    draw = np.random.default_rng(seed)
    orders = [(group, draw.permutation(len(group.channels))) for group in channels.groups(sparse)]
    old = copy.deepcopy(network.state_dict())
    apply(network, channels, orders)
    changed = any(not torch.equal(value, old[name]) for name, value in network.state_dict().items())
    assert changed == bool(orders)
    for one, other in zip(before, answers(network, example), strict=True):
        assert (one - other).abs().max() <= 1e-12 * one.abs().max().clamp(min=1)
    apply(network, channels, undo(orders))
    assert all(torch.equal(value, old[name]) for name, value in network.state_dict().items())
    permuted = {reader.layer for group, _ in orders for reader in group.readers}
    left = {sparse[one.name]: channels.reason(one) for one in channels.usages if one.name in sparse}
    return permuted, {name: why for name, why in left.items() if name not in permuted}


def restless(network):
    """No vector is all ones or zeros, or one that doesn't move with its channels would go unseen."""
    torch.manual_seed(1)
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if value.is_floating_point() and value.ndim == 1:
            value.data.uniform_(0.5, 2) if "var" in name or "weight" in name else value.data.normal_()
    return network


def answers(network, example):
    with torch.no_grad():
        return [leaf for leaf in tree_leaves(network(example)) if isinstance(leaf, torch.Tensor)]


def rand(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def architectures():
    path = ROOT / "benchmarks" / "architectures" / "networks.py"
    spec = importlib.util.spec_from_file_location("architecture_networks", path)
    module = sys.modules.setdefault("architecture_networks", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return {one.name: one for one in module.ARCHITECTURES}


def test_a_residual_network_moves_every_layer_but_the_stem():
    permuted, left = shuffled(tiny_resnet(widths=(16, 32), blocks=2), rand(2, 1, 8, 8))
    assert not left
    assert {"body.0.conv1", "body.2.shortcut.0", "body.3.conv2"} <= permuted


def test_a_transformer_moves_the_perceptron_the_heads_and_the_stream():
    permuted, left = shuffled(tiny_vit(dim=32, depth=2, heads=2), rand(2, 1, 16, 16))
    assert set(left) == {"embed"}
    assert "input" in left["embed"]
    assert {"blocks.0.fc2", "blocks.1.attention.out", "blocks.0.attention.query", "blocks.1.fc1"} <= permuted


@pytest.mark.parametrize("heads", [2, 4])
def test_values_stay_in_their_head(heads):
    network = tiny_vit(dim=32, depth=1, heads=heads).eval().double()
    layers = {"blocks.0.attention.out.weight": "blocks.0.attention.out"}
    groups = Channels(trace(network, rand(1, 1, 16, 16))).groups(layers)
    columns = [sorted(group.readers[0].columns[0].tolist()) for group in groups]
    width = 32 // heads
    assert sorted(columns) == [list(range(head * width, (head + 1) * width)) for head in range(heads)]


class Fused(nn.Module):
    """One matrix for q, k and v, a class token, positions, layer scale."""

    def __init__(self):
        super().__init__()
        self.embed, self.cls = nn.Linear(24, 32), nn.Parameter(torch.randn(1, 1, 32))
        self.pos, self.norm = nn.Parameter(torch.randn(1, 6, 32)), nn.LayerNorm(32)
        self.qkv, self.proj, self.scale = nn.Linear(32, 96), nn.Linear(32, 32), nn.Parameter(torch.randn(32))
        self.head = nn.Linear(32, 16)

    def forward(self, x):
        x = self.embed(x)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        q, k, v = self.qkv(self.norm(x)).reshape(len(x), 6, 3, 2, 16).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return self.head((x + self.scale * self.proj(mixed))[:, 0])


class Channelled(nn.Module):
    """Grouped and depthwise convolutions, a gate on channels, group norm, a flattened picture."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.grouped, self.depthwise = nn.Conv2d(64, 64, 3, groups=4), nn.Conv2d(64, 64, 3, groups=64)
        self.down, self.up = nn.Linear(64, 16), nn.Linear(16, 64)
        self.point, self.groups, self.flat = nn.Conv2d(64, 32, 1), nn.GroupNorm(4, 32), nn.Linear(512, 32)
        self.out = nn.Linear(32, 8)

    def forward(self, x):
        x = self.depthwise(F.relu(self.grouped(F.relu(self.norm(self.first(x))))))
        x = x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))[:, :, None, None]
        return self.out(F.relu(self.flat(F.max_pool2d(self.groups(self.point(x)), 2).flatten(1))))


class Transposed(nn.Module):
    """Transposed convolutions, a concatenation, pixel shuffle, a written slice."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.ConvTranspose2d(16, 32, 2, 2), nn.ConvTranspose2d(32, 16, 4, 2, 1, groups=2)
        self.c, self.d = nn.Conv2d(48, 64, 3, padding=1), nn.Conv2d(16, 16, 1)

    def forward(self, x):
        x = F.leaky_relu(self.a(x))
        x = torch.cat([F.interpolate(x, scale_factor=2), self.b(x)], 1)
        x = F.pixel_shuffle(F.pad(self.c(x), (1, 1)), 2)
        room = torch.zeros_like(x)
        room[:, :8] = x[:, :8]
        return self.d(x + room)


class Twice(nn.Module):
    """A layer that is used twice, one with computed weights, and what sorts its channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(32, 32))
        self.d, self.e = nn.Linear(32, 32), nn.Linear(32, 32)

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.b(F.relu(self.a(x))))))
        return self.e(torch.sort(self.d(F.relu(self.normed(F.relu(self.c(x))))))[0])


class Recurrent(nn.Module):
    """A recurrent layer, whose gates are parts of one matrix."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(16, 32, 3), nn.LSTM(32, 32, batch_first=True), nn.Linear(32, 16)

    def forward(self, x):
        return self.c(self.b(F.relu(self.a(x)).transpose(1, 2))[0])


class Built(nn.Module):
    """nn.TransformerEncoderLayer and an embedding."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 32)
        self.encoder, self.head = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), nn.Linear(32, 16)

    def forward(self, x):
        return self.head(self.encoder(self.table((x.abs() * 3).long().clamp(max=9))).mean(1))


@pytest.mark.parametrize(("build", "shape", "moves", "stays"), [
    (Fused, (2, 5, 24), {"qkv", "proj", "head"}, {}),
    (Channelled, (2, 3, 12, 12), {"point", "down"}, {"flat": "no eight"}),
    (Transposed, (2, 16, 4, 4), {"c"}, {"a": "input"}),
    (Twice, (2, 32), {"b", "c"}, {"a": "input", "e": "input"}),
    (Recurrent, (2, 16, 9), {"c"}, {"a": "input"}),
    (Built, (2, 5), {"encoder.linear2", "head"}, {}),
], ids=lambda value: getattr(value, "__name__", ""))
def test_what_moves_and_what_stays(build, shape, moves, stays):
    torch.manual_seed(0)
    permuted, left = shuffled(build(), rand(*shape))
    assert moves <= permuted
    assert all(why in left[name] for name, why in stays.items())


def test_what_the_network_returns_stays():
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x):
            x = F.relu(self.a(x))
            return self.b(x), x

    permuted, left = shuffled(Twins(), rand(2, 16))
    assert not permuted
    assert "returns" in left["b"]


SMALL = ["ResNet", "ViT", "DCGAN", "U-Net"]
SLOW = ["MobileNetV2", "ConvNeXt", "DeiT", "Swin", "SegFormer", "DETR"]


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_architectures(name):
    torch.manual_seed(0)
    found = architectures()[name]
    network = found.build()
    patches_as_linear(network)
    permuted, left = shuffled(network, rand(1, *found.shape))
    assert len(permuted) >= 25 if name == "DETR" else len(left) <= 1  # DETR returns its stream
    assert all("input" in why or "returns" in why for why in left.values())
