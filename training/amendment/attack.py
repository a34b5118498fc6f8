"""Projected gradient descent (PGD) on the inputs: the worst small change of a sample.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", arXiv 1706.06083.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ...common.errors import UserError
from ..checks import logits_for
from ..loaders import Bounds
from ..objective import at_rest


@dataclass(frozen=True)
class Attack:
    """Call it with a network and a batch.

    Attributes:
        eps: most that a value is changed, as a share of the inputs' range: 1/255 is one step of an 8-bit picture.
        steps: steps along the sign of the gradient; 1 without a random start is FGSM.
        step_size: of each, as a share of the range.
        random_start: begin somewhere within eps instead of at the sample.
        target: `none` raises the loss of the label; `random` lowers that of a wrong class, drawn for each sample.
    """

    eps: float
    steps: int = 1
    step_size: float = 1 / 255
    random_start: bool = True
    target: Literal["none", "random"] = "none"

    def __call__(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, bounds: Bounds, where: str
    ) -> list[torch.Tensor]:
        """The sample after every step; the last is the adversarial one.

        The network computes with its running statistics, without dropout; they, and the gradients of its parameters,
        are as before when it is done. Random numbers come from PyTorch's global state.

        Args:
            model: its mode is kept; that batch norm is attacked which is active.
            inputs: float (N, ...).
            targets: classes, (N,) or (N, ...) for each place.
            bounds: least and largest value of an input. Where a sample lies outside, its own value is the bound.
            where: loader and batch, for errors.

        Returns:
            `steps` tensors like the inputs, each within `eps` of them and within the bounds.

        Raises:
            UserError: the batch can't be used, or the loss has no gradient with respect to the inputs.
        """
        low, high = (torch.as_tensor(bound).to(inputs) for bound in bounds)
        span = high - low
        least = torch.maximum(torch.minimum(inputs, low), inputs - self.eps * span)
        most = torch.minimum(torch.maximum(inputs, high), inputs + self.eps * span)
        draw = torch.rand(len(inputs), device=inputs.device)
        now, made = self._start(inputs, least, most), []
        with at_rest(model):
            for _ in range(self.steps):
                step = self.step_size * span * self._slope(model, now, targets, draw, where).sign()
                now = torch.minimum(torch.maximum(now + step, least), most)
                made.append(now)
        return made

    def _start(self, inputs: torch.Tensor, least: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
        start = least + torch.rand_like(inputs) * (most - least) if self.random_start else inputs
        return torch.minimum(torch.maximum(start, least), most).detach()

    def _slope(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, draw: torch.Tensor, where: str
    ) -> torch.Tensor:
        inputs = inputs.detach().requires_grad_()
        with torch.enable_grad():
            logits = logits_for(model, inputs, targets, where).float()
            goal = targets.long() if self.target == "none" else wrong_class(targets, draw, logits.shape[1])
            loss = F.cross_entropy(logits, goal, reduction="sum")  # a sum: in FP16 a mean's gradient may vanish
        # only with respect to the inputs: no parameter gets a gradient
        slope = torch.autograd.grad(loss, inputs, allow_unused=True)[0] if loss.requires_grad else None
        if slope is None:
            raise UserError("The loss has no gradient with respect to the inputs, so they can't be attacked.",
                            where=where, fix="Let forward() compute from its inputs what can be differentiated.")
        return slope if self.target == "none" else -slope


def wrong_class(targets: torch.Tensor, draw: torch.Tensor, classes: int) -> torch.Tensor:
    """Another class than the label's; in a mask, every class is exchanged for the one a fixed number further.

    Args:
        targets: classes, (N, ...).
        draw: (N,), 0 to 1; says which.
        classes: how many there are.
    """
    shift = 1 + (draw * (classes - 1)).long()
    return (targets.long() + shift.view(-1, *[1] * (targets.ndim - 1))) % classes


__all__ = ["Attack", "wrong_class"]
