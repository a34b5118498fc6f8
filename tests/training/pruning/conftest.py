import pytest
import torch
from torch import nn

from twofour.training.pruning.pattern import Grouped
from twofour.training.pruning.rule import Rule


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8))


@pytest.fixture
def rule():
    return Rule(Grouped(), {"0.weight": 1})


@pytest.fixture
def train_step():
    """One step on new random samples."""

    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.randn(4, 16)).square().sum().backward()
        optimizer.step()

    return step
