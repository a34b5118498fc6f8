"""A generator's loss beside a discriminator that learns with it.

Source: Goodfellow et al., "Generative adversarial networks", arXiv 1406.2661, with the loss that doesn't saturate; with
inputs that are pictures and a reconstruction term as in Isola et al., "Image-to-image translation with conditional
adversarial networks", arXiv 1611.07004.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checks import checked
from ..objective import Objective
from .adversary import Adversary
from .check import check_fit, pictures_for
from .losses import apart, as_real


class Gan(Objective):
    """Of each batch the discriminator learns first, from the real pictures and those made just now.

    Args:
        adversary: the discriminator.
        reconstruction: weight of the mean absolute difference from the targets. Defaults to 0.
    """

    def __init__(self, adversary: Adversary, reconstruction: float = 0.0) -> None:
        self.adversary, self.reconstruction = adversary, reconstruction
        self._epoch = 0

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the discriminator."""
        self.adversary.place(device, memory_format)

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Generator, discriminator and targets fit, on the first batch."""
        index, inputs, targets = next(checked(loader, "train"))
        check_fit(model, self.adversary.module, inputs, targets, f"train loader, batch {index}")

    def start(self, epoch: int) -> None:
        """For errors."""
        self._epoch = epoch

    def pace(self, share: float) -> None:
        """The discriminator's learning rate follows the generator's schedule."""
        self.adversary.pace(share)

    def terms(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
    ) -> Iterator[torch.Tensor]:
        """A step of the discriminator, then the generator's loss."""
        made = pictures_for(model, inputs, targets, where)
        self.adversary.learn(inputs, targets, made, f"epoch {self._epoch}, {where}")
        yield self.loss(made.float(), inputs, targets, where)

    def loss(
        self, made: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor, where: str  # noqa: ARG002
    ) -> torch.Tensor:
        """The generator's loss under the discriminator of now, a scalar.

        Args:
            made: its pictures, float32 (N, C, H, W).
            inputs: what they were made of.
            targets: real pictures of the same shape.
            where: loader and batch, for errors.
        """
        loss = as_real(self.adversary(inputs, made)).mean()
        return loss + self.reconstruction * apart(made, targets).mean() if self.reconstruction else loss

    def state(self) -> dict[str, torch.Tensor]:
        """The discriminator's."""
        return self.adversary.state()

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""
        self.adversary.load_state(tensors)

    def finish(self, folder: Path) -> None:
        """Leave `discriminator.safetensors`."""
        self.adversary.save(folder)


__all__ = ["Gan"]
