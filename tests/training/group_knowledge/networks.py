"""Small networks of residual blocks, and of none."""

import torch
from torch import nn

from twofour.training.config import ModelConfig
from twofour.training.factory import build_model

RESNET = {"num_channels": 1, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 3], "num_labels": 10}
CONVNEXT = {"num_channels": 1, "num_stages": 3, "hidden_sizes": [8, 16, 16], "depths": [1, 2, 3], "num_labels": 10,
            "patch_size": 2, "layer_scale_init_value": 1.0}
NETWORKS = {
    "tiny_resnet": ("twofour.training.models:tiny_resnet", {"widths": [8, 16], "blocks": 3}, 12),
    "resnet": ("transformers:ResNetForImageClassification", {**RESNET, "layer_type": "basic"}, 32),
    "bottleneck": ("transformers:ResNetForImageClassification", RESNET, 32),
    "convnext": ("transformers:ConvNextForImageClassification", CONVNEXT, 32),
}


def built(name):
    """A network with random weights and statistics, and four pictures for it."""
    factory, args, size = NETWORKS[name]
    if factory.startswith("transformers:"):
        import pytest

        pytest.importorskip("transformers")
    torch.manual_seed(0)
    network, inputs = build_model(ModelConfig(factory=factory, args=args)), torch.randn(4, 1, size, size)
    with torch.no_grad():
        network.train()(inputs)
    return network.eval(), inputs


class Block(nn.Module):
    """`x + branch(x)`, `shortcut(x) + branch(x)`, or neither."""

    def __init__(self, shortcut=None, branch=None, combine=torch.add):
        super().__init__()
        self.branch = branch or nn.Linear(8, 8)
        self.shortcut, self.combine = shortcut or nn.Identity(), combine

    def forward(self, x):
        return self.combine(self.branch(x), self.shortcut(x))


class Norms(nn.Module):
    """A transformer's block: two sums, one after the other."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        x = x + self.first(x)
        return x + self.second(x)


class Bare(nn.Module):
    """A block whose branch no module returns."""

    def __init__(self):
        super().__init__()
        self.branch, self.scale = nn.Linear(8, 8), nn.Parameter(torch.ones(8))

    def forward(self, x):
        return x + self.scale * self.branch(x)
