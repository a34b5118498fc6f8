import pytest
import torch
from torch import nn

from twofour.calibrate.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig
from twofour.training.quantize import place


class Block(nn.Module):
    """The usual residual block, in the usual ways of writing it."""

    def __init__(self, width=8, project=False, style="plain"):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.shortcut = nn.Conv2d(width, width, 1) if project else nn.Identity()
        self.relu, self.style = nn.ReLU(inplace=style == "in place"), style

    def forward(self, x):
        skip = self.shortcut(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.style == "in place":
            y += skip
        elif self.style == "function":
            y = torch.add(y, skip)
        elif self.style == "turned":
            y = skip + y
        else:
            y = y + skip
        return self.relu(y)


class Joined(nn.Module):
    """Two branches, concatenated, read by a convolution."""

    def __init__(self, width=8):
        super().__init__()
        self.a, self.b = nn.Conv2d(width, width // 2, 1), nn.Conv2d(width, width // 2, 3, padding=1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x):
        return self.out(torch.cat([torch.relu(self.a(x)), torch.relu(self.b(x))], 1))


@pytest.fixture
def block():
    return Block


@pytest.fixture
def joined():
    return Joined


@pytest.fixture
def placed():
    """Places and calibrates; gives the placement's groups, weights left out."""

    def do(model, policy, inputs, sparse=()):
        placement = place(model.eval(), policy, inputs[:2], sparse)
        calibrate(model, [(inputs, torch.zeros(len(inputs)).long())], CalibrateConfig(method="max"))
        return [names for names in placement.quantizers if not names[0].endswith("weight_quantizer")]

    return do
