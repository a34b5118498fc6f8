"""The discriminator with its own optimizer; its arithmetic is float32 whatever the generator's is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ...common.errors import UserError
from .. import checkpoint
from ..config import GanConfig
from ..objective import placed
from ..weights import save_tensors
from .losses import as_made, as_real

DISCRIMINATOR = "discriminator.safetensors"


class Adversary:
    """Tells real pictures from made ones, and learns to.

    Args:
        module: pictures (N, C, H, W), or with `conditional` inputs and pictures joined on the channel axis, to logits
            (N, ...).
        config: learning rate and betas, and whether it learns at all.
    """

    def __init__(self, module: nn.Module, config: GanConfig) -> None:
        self.module, self.config = module.requires_grad_(False).train(not config.freeze), config
        self.optimizer = torch.optim.Adam(module.parameters(), lr=config.lr, betas=config.betas)

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move it."""
        placed(self.module, device, memory_format)

    def pace(self, share: float) -> None:
        """Take this share of the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = share * self.config.lr

    def __call__(self, inputs: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (N, ...)."""
        return judged(self.module, inputs, pictures)

    def learn(self, inputs: torch.Tensor, real: torch.Tensor, made: torch.Tensor, where: str) -> None:
        """One step on a batch of real and made pictures; nothing where it is frozen.

        Args:
            inputs: what the pictures were made of.
            real: pictures (N, C, H, W).
            made: pictures of the same shape; no gradient goes through them.
            where: epoch, loader and batch, for errors.

        Raises:
            UserError: its loss became NaN or infinite.
        """
        if self.config.freeze:
            return
        self.module.requires_grad_(True)
        loss = (as_real(self(inputs, real)) + as_made(self(inputs, made.detach()))).mean()
        check_discriminator_loss(loss, where)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(loss.device.type, enabled=False):
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.module.requires_grad_(False)

    def state(self) -> dict[str, torch.Tensor]:
        """Weights and optimizer."""
        return checkpoint.pack(self.module, self.optimizer)

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""
        checkpoint.unpack(tensors, self.module, self.optimizer)

    def save(self, folder: Path) -> None:
        """Leave `discriminator.safetensors`."""
        save_tensors(folder / DISCRIMINATOR, self.module.state_dict())


def judged(module: nn.Module, inputs: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """A discriminator's logits, float32 (N, ...).

    Args:
        module: the discriminator.
        inputs: what the pictures were made of; looked at where its attribute `conditional` is True.
        pictures: (N, C, H, W).
    """
    with torch.autocast(pictures.device.type, enabled=False):
        seen = pictures.float()
        if getattr(module, "conditional", False):
            seen = torch.cat((inputs.float(), seen), 1)
        logits: torch.Tensor = module(seen)
        return logits.float()


def check_discriminator_loss(loss: torch.Tensor, where: str) -> None:
    """The loss is finite.

    Raises:
        UserError: it is not; the epochs before this one are kept.
    """
    if not bool(torch.isfinite(loss)):
        raise UserError(
            f"The discriminator's loss became {loss.item()}; training was stopped and the last whole epoch is kept.",
            where=where, fix="Lower the discriminator's learning rate, `gan: {lr: ...}`, or the generator's.",
        )


__all__ = ["DISCRIMINATOR", "Adversary", "check_discriminator_loss", "judged"]
