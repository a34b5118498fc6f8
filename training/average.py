"""An exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from .pruning.masker import copy_into


class Average:
    """The average of everything in a network's state: weights, and buffers such as running means; integers are copied.

    Args:
        model: whose state is averaged; it begins as it is now.
        decay: 0 to 1; the first steps use (1 + step) / (10 + step) where that is less.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = dict(model.state_dict())  # the tensors themselves, not copies
        self._mean = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network as a step, counted from 0, left it."""
        new = 1 - min(self.decay, (1 + step) / (10 + step))
        floats = [name for name, tensor in self._mean.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self._mean[name] for name in floats], [self._live[name] for name in floats], new)
        for name in self._mean.keys() - floats:
            self._mean[name].copy_(self._live[name])

    @torch.no_grad()
    def hold(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Zero what the masks prune, in the average; masks that changed have left something there."""
        for name, mask in masks.items():
            self._mean[name].masked_fill_(~mask, 0.0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network is the average while the block runs."""
        kept = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._write(self._mean)
        try:
            yield
        finally:
            self._write(kept)

    def settle(self) -> None:
        """The network becomes the average for good."""
        self._write(self._mean)

    def state(self) -> dict[str, torch.Tensor]:
        """What goes into a checkpoint."""
        return dict(self._mean)

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave.

        Raises:
            UserError: it is another network's, or missing.
        """
        copy_into(self._mean, tensors, "average")

    @torch.no_grad()
    def _write(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            self._live[name].copy_(tensor)


__all__ = ["Average"]
