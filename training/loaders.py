"""Loaders of tensors that fit in memory: shuffled and augmented by PyTorch's random state, without worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch

from ..common.images import Features

Batch = tuple[torch.Tensor, torch.Tensor]
Bounds = tuple[torch.Tensor | float, torch.Tensor | float]


@runtime_checkable
class Data(Protocol):
    """Three loaders of (inputs, targets); each can be gone through again and again."""

    @property
    def train(self) -> Iterable[Any]:
        """What the weights are fitted to."""

    @property
    def val(self) -> Iterable[Any]:
        """What the metric is measured on."""

    @property
    def calibration(self) -> Iterable[Any]:
        """What the quantizers' ranges are chosen on."""


class Loaders:
    """A `Data` of three loaders.

    Args:
        train: what the weights are fitted to.
        val: what the metric is measured on.
        calibration: what the quantizers' ranges are chosen on.
        bounds: least and largest value that an input can have, as the loaders give them: floats, or tensors that
            broadcast to a sample, such as (C, 1, 1). Methods that change inputs need them. Defaults to not known.
        metric: what the answers are measured by: `accuracy`; `ssim`, the targets are the pictures that belong to the
            inputs; or `feature_distance`, the targets are pictures of the distribution. Defaults to `accuracy`.
        features: of pictures, for `feature_distance`; with `ssim` the distance is measured too. Defaults to none.
        span: least and largest value that a picture can have. Defaults to those among the targets of `val`.
    """

    def __init__(
        self, train: Iterable[Any], val: Iterable[Any], calibration: Iterable[Any], bounds: Bounds | None = None, *,
        metric: str = "accuracy", features: Features | None = None, span: tuple[float, float] | None = None,
    ) -> None:
        self.train, self.val, self.calibration, self.bounds = train, val, calibration, bounds
        self.metric, self.features, self.span = metric, features, span


class TensorLoader:
    """Batches of two tensors.

    Args:
        inputs: (N, ...).
        targets: (N,).
        batch: samples per batch; the last one may be smaller.
        shuffle: a new order in each pass, from PyTorch's global random state. Defaults to the order given.
        augment: applied to each batch of inputs. Defaults to nothing.
    """

    def __init__(
        self, inputs: torch.Tensor, targets: torch.Tensor, batch: int, *, shuffle: bool = False,
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        self.inputs, self.targets, self.batch, self.shuffle, self.augment = inputs, targets, batch, shuffle, augment

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.inputs) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        """One pass."""
        order = torch.randperm(len(self.inputs)) if self.shuffle else torch.arange(len(self.inputs))
        for chosen in torch.split(order, self.batch):
            inputs = self.inputs[chosen]
            yield (self.augment(inputs) if self.augment else inputs), self.targets[chosen]


class MadeLoader:
    """Batches of which inputs and targets are made anew in each pass, in a new order; by PyTorch's random state.

    Args:
        inputs: (N, ...), what is made from.
        targets: (N,).
        batch: samples per batch; the last one may be smaller.
        make: takes some of both and gives a batch.
    """

    def __init__(
        self, inputs: torch.Tensor, targets: torch.Tensor, batch: int,
        make: Callable[[torch.Tensor, torch.Tensor], Batch],
    ) -> None:
        self.inputs, self.targets, self.batch, self.make = inputs, targets, batch, make

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.inputs) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        """One pass."""
        for chosen in torch.split(torch.randperm(len(self.inputs)), self.batch):
            yield self.make(self.inputs[chosen], self.targets[chosen])


__all__ = ["Batch", "Bounds", "Data", "Loaders", "MadeLoader", "TensorLoader"]
