"""Small networks and samples that tests attack."""

import torch
from torch import nn

from twofour.training.data import digit_masks, digits
from twofour.training.loaders import Loaders, MadeLoader, TensorLoader

BOUNDS = (torch.tensor(-1.0), torch.tensor(2.0))


def net(*norms):
    """Two convolutions, each with a batch norm, and a classifier: (N, 1, 4, 4) -> (N, 3)."""
    first, second = norms or (nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), first, nn.ReLU(), nn.Conv2d(4, 4, 3), second, nn.Flatten(),
                         nn.Linear(16, 3))


def masker():
    """(N, 1, 4, 4) -> (N, 3, 4, 4)."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1))


def batch(count=8, places=()):
    return torch.rand(count, 1, 4, 4) * 3 - 1, torch.randint(0, 3, (count, *places))


class Plain:
    """Data whose range is not declared."""

    def __init__(self, loaders):
        self.train, self.val, self.calibration = loaders.train, loaders.val, loaders.calibration


def samples(dtype=torch.float32, bounds=BOUNDS, declare=True):
    inputs, targets = batch(16)
    loader = TensorLoader(inputs.to(dtype), targets, 8)
    made = Loaders(loader, loader, loader, bounds)
    return made if declare else Plain(made)


def few(size=8):
    """Two batches of real digits."""
    every = digits(size=size)
    train = TensorLoader(every.train.inputs[:64], every.train.targets[:64], 32, shuffle=True)
    val = TensorLoader(every.val.inputs[:96], every.val.targets[:96], 96)
    return Loaders(train, val, val, every.bounds)


def few_masks():
    """Two batches of real digits with masks."""
    every = digit_masks()
    train = MadeLoader(every.train.inputs[:64], every.train.targets[:64], 32, every.train.make)
    val = TensorLoader(every.val.inputs[:64], every.val.targets[:64], 64)
    return Loaders(train, val, val, every.bounds)


def undeclared():
    """Digits of an unknown range."""
    return Plain(few())


def whole_numbers():
    """Digits as integers."""
    every = few()
    for loader in (every.train, every.val):
        loader.inputs = loader.inputs.round().long()
    return every
