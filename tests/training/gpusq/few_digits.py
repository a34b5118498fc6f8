"""Two batches of real digits, for tests that take a few steps."""

from twofour.training.data import digits
from twofour.training.loaders import Loaders, TensorLoader


class Untouchable:
    """Labels that can't be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"a label was touched: {name}")

    def __len__(self):
        raise AssertionError("labels were counted")


class Hidden:
    """A loader whose labels can't be looked at."""

    def __init__(self, loader):
        self.loader = loader

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        return ((inputs, Untouchable()) for inputs, _ in self.loader)


def few(size, hidden=False):
    every = digits(size=size)
    train, val, calibration = (
        TensorLoader(loader.inputs[:count], loader.targets[:count], 32, shuffle=count == 64, augment=loader.augment)
        for loader, count in ((every.train, 64), (every.val, 96), (every.calibration, 32))
    )
    return Loaders(Hidden(train) if hidden else train, val, calibration)
