"""A small network that makes pictures, and digits to make: what a recipe of the tests names."""

import numpy as np
import torch
from torch import nn

from twofour.common.images import Features
from twofour.training.data import digits as labelled
from twofour.training.loaders import Loaders, TensorLoader


class Mender(nn.Module):
    """Makes a clean digit of a noisy one: down, and up again by a transposed convolution."""

    def __init__(self, width=16):
        super().__init__()
        self.down = nn.Conv2d(1, width, 3, 2, 1)
        self.middle = nn.Conv2d(width, width, 3, 1, 1)
        self.up = nn.ConvTranspose2d(width, width, 4, 2, 1)
        self.out = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, x):
        """(N, 1, H, W) twice, the answer in [-1, 1]."""
        y = torch.relu(self.middle(torch.relu(self.down(x))))
        return torch.tanh(self.out(torch.relu(self.up(y))))


class Maker(nn.Module):
    """Makes a picture of 12 by 12 of 16 numbers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(16, 16 * 36)
        self.up = nn.ConvTranspose2d(16, 16, 4, 2, 1)
        self.out = nn.Conv2d(16, 1, 3, 1, 1)

    def forward(self, z):
        """(N, 16) -> (N, 1, 12, 12)."""
        return torch.tanh(self.out(torch.relu(self.up(torch.relu(self.stem(z).unflatten(1, (16, 6, 6)))))))


def features(size=12):
    """A fixed random layer: enough to see that distances go all the way."""
    weight = np.random.default_rng(0).normal(size=(size * size, 16)) / size
    return Features(weight.astype(np.float32), np.zeros(16, np.float32))


def _clean(batch, size):
    data = labelled(batch=batch, size=size, augment=False)
    parts = (data.train, data.val, data.calibration)
    low = min(float(part.inputs.min()) for part in parts)
    high = max(float(part.inputs.max()) for part in parts)
    return [(part.inputs - low) / (high - low) * 2 - 1 for part in parts]


def noisy_digits(batch=128, size=12, metric="ssim", measured=True):
    """Digits under noise and the digits, in pairs."""
    draw = torch.Generator().manual_seed(0)
    pairs = [(clean + 0.4 * torch.randn(clean.shape, generator=draw), clean) for clean in _clean(batch, size)]
    loaders = [TensorLoader(*pair, batch, shuffle=index == 0) for index, pair in enumerate(pairs)]
    return Loaders(*loaders, metric=metric, features=features(size) if measured else None)


def digits_of_noise(batch=128, size=12):
    """Noise, and digits that have nothing to do with it."""
    draw = torch.Generator().manual_seed(0)
    pairs = [(torch.randn(len(clean), 16, generator=draw), clean) for clean in _clean(batch, size)]
    return Loaders(*(TensorLoader(*pair, batch) for pair in pairs), metric="feature_distance", features=features(size))
