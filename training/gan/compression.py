"""A generator compressed under the eyes of the discriminator that was trained with the dense one.

Source: Yu and Pool, "Self-supervised generative adversarial compression", arXiv 2007.01491. What its public text leaves
open is this project's choice, and docs/training.md says which.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..config import GanCompressionConfig, GanConfig
from ..objective import at_rest, placed
from .adversary import Adversary, judged
from .check import pictures_for
from .losses import Terms, apart, relative, terms_of
from .objective import Gan


class GanCompression(Gan):
    """Every loss term of the compressed generator is drawn to that of its teacher, on the same inputs.

    Loss: the generative part, |gen - gen'| / |gen| + reconstruction * |rec - rec'| / |rec|, plus `discriminative` times
    |dis - dis'| / |dis|. The teacher's terms are constants; the gradient goes through every term of the other.

    Args:
        adversary: the discriminator, trained.
        teacher: the generator that is not compressed; its weights don't change, and it is always in eval mode.
        gan: weight of the reconstruction.
        config: weights of the parts, and how terms are compared.
    """

    def __init__(
        self, adversary: Adversary, teacher: nn.Module, gan: GanConfig, config: GanCompressionConfig
    ) -> None:
        super().__init__(adversary, gan.reconstruction)
        self.teacher, self.config = teacher.eval().requires_grad_(False), config
        self.reference: nn.Module = adversary.module
        if config.reference == "frozen":
            self.reference = copy.deepcopy(adversary.module).eval()

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the networks."""
        super().place(device, memory_format)
        placed(self.teacher, device, memory_format)
        placed(self.reference, device, memory_format)

    def loss(self, made: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The self-supervised loss, and the difference from the teacher's pictures where it counts."""
        with torch.no_grad():
            shown = pictures_for(self.teacher, inputs, targets, where).float()
        loss = made.new_zeros(())
        if self.config.consistency:
            with at_rest(self.adversary.module):  # both are judged alike, and leave no trace in its batch norm
                with torch.no_grad():
                    goal = terms_of(lambda x, y: judged(self.reference, x, y), inputs, shown, targets)
                ours = terms_of(self.adversary, inputs, made, targets)
            loss = loss + self.config.consistency * self._consistency(goal, ours)
        if self.config.distill:
            loss = loss + self.config.distill * apart(made, shown).mean()
        return loss

    def _consistency(self, goal: Terms, ours: Terms) -> torch.Tensor:
        config = self.config
        loss = relative(goal.generator, ours.generator, config.ratio)
        if self.reconstruction:
            loss = loss + self.reconstruction * relative(goal.reconstruction, ours.reconstruction, config.ratio)
        if config.discriminative:
            part = relative(goal.discriminator, ours.discriminator, config.ratio)
            loss = loss + config.discriminative * part
        return loss


__all__ = ["GanCompression"]
