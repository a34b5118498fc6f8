"""Two batch norms in the place of each one: benign samples go through the main one, attacked ones through the other.

Source: Xie et al., "Adversarial Examples Improve Image Recognition" (AdvProp), arXiv 1911.09665. The two share nothing:
weight, bias and running statistics are each one's own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class DualNorm(nn.Module):
    """A batch norm and an auxiliary one, of which one computes; what else is asked of it, the main one answers.

    Args:
        main: the network's own; it is held, not copied.

    Attributes:
        auxiliary: begins as a copy of `main`.
        aside: the auxiliary one computes. False to begin with.
    """

    main: _BatchNorm
    auxiliary: _BatchNorm

    def __init__(self, main: _BatchNorm) -> None:
        super().__init__()
        self.main, self.auxiliary, self.aside = main, copy.deepcopy(main), False
        self.training = main.training

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, ...) -> the same shape."""
        normed: torch.Tensor = (self.auxiliary if self.aside else self.main)(x)
        return normed

    def __getattr__(self, name: str) -> Any:
        """Its own, or the main batch norm's, such as `num_features`."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("main"), name)

    def distance(self) -> dict[str, float] | None:
        """How far the auxiliary statistics lie from the main ones; None where none are kept.

        Returns:
            `mean`: of the channels' |difference of the means| in main standard deviations. `variance`: of the
            channels' |difference of the variances|, in main variances.
        """
        main, other = self.main, self.auxiliary
        if main.running_mean is None or main.running_var is None:
            return None
        assert other.running_mean is not None, "it is a copy"
        assert other.running_var is not None, "it is a copy"
        spread = main.running_var.double() + main.eps
        means = (other.running_mean.double() - main.running_mean.double()).abs() / spread.sqrt()
        variances = (other.running_var.double() - main.running_var.double()).abs() / spread
        return {"mean": float(means.mean()), "variance": float(variances.mean())}


def has_norms(model: nn.Module) -> bool:
    """Whether there is a BatchNorm1d, 2d or 3d, or one derived from them, to be converted."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def convert(model: nn.Module) -> None:
    """Put a `DualNorm` in the place of every batch norm, in place; one that stands in several places stays one."""
    made: dict[nn.Module, DualNorm] = {}
    for parent in [module for module in model.modules() if not isinstance(module, _BatchNorm)]:
        for name, child in list(parent._modules.items()):
            if isinstance(child, _BatchNorm):
                made[child] = made.get(child) or DualNorm(child)
                setattr(parent, name, made[child])


def revert(model: nn.Module) -> None:
    """Put the original batch norms back, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, DualNorm):
                setattr(parent, name, child.main)


@contextmanager
def aside(model: nn.Module) -> Iterator[None]:
    """The auxiliary batch norms compute while the block runs; a network without any is what it is."""
    found = [module for module in model.modules() if isinstance(module, DualNorm)]
    for dual in found:
        dual.aside = True
    try:
        yield
    finally:
        for dual in found:
            dual.aside = False


def distances(model: nn.Module) -> dict[str, dict[str, float]]:
    """`DualNorm.distance` by the layer's path in the original network."""
    found = {path: module.distance() for path, module in model.named_modules() if isinstance(module, DualNorm)}
    return {path: distance for path, distance in found.items() if distance is not None}


__all__ = ["DualNorm", "aside", "convert", "distances", "has_norms", "revert"]
