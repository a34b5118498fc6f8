"""SR-STE: masks are chosen anew after every step, and pruned weights go on learning.

The network computes with the masked weights, and the gradient of a masked weight is given to the dense weight behind it
as it is (straight through). Pruned weights are also drawn to zero, which keeps masks from flickering.

Source: Zhou et al., "Learning N:M fine-grained structured sparse neural networks from scratch", arXiv 2102.04010.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .masker import copy_into
from .rule import Rule


class SrSte:
    """Keeps the dense weights, which only the optimizer sees; at all other times the network holds masked ones.

    Args:
        rule: gives the masks.
        decay: added to the gradient of a pruned weight, times the weight.
    """

    def __init__(self, rule: Rule, decay: float) -> None:
        self.rule, self.decay = rule, decay
        self.masks: dict[str, torch.Tensor] = {}
        self._dense: dict[str, torch.Tensor] = {}
        self._weights: dict[str, nn.Parameter] = {}

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Remember the dense weights, the first time, and mask the network's."""
        parameters = dict(model.named_parameters())
        self._weights = {name: parameters[name] for name in self.rule.axes}
        if not self._dense:
            self._dense = {name: weight.detach().clone() for name, weight in self._weights.items()}
            self.masks = {name: self.rule.mask(name, weight) for name, weight in self._dense.items()}
            self._apply()
        optimizer.register_step_pre_hook(self._before)
        optimizer.register_step_post_hook(self._after)

    def step(self, step: int, steps: int) -> None:
        """The optimizer's own steps are enough."""

    def state(self) -> dict[str, torch.Tensor]:
        """Dense weights and masks."""
        dense = {f"dense/{name}": tensor for name, tensor in self._dense.items()}
        return {**dense, **{f"masks/{name}": tensor for name, tensor in self.masks.items()}}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put both back."""
        for name, held in (("dense", self._dense), ("masks", self.masks)):
            saved = {key[len(name) + 1:]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
            copy_into(held, saved, "masks" if name == "masks" else "dense weights")
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(self._dense[name])
        self._apply()

    @torch.no_grad()
    def _before(self, *_: Any) -> None:
        for name, weight in self._weights.items():
            if weight.grad is not None:
                weight.grad.add_(self._dense[name], alpha=self.decay).sub_(weight, alpha=self.decay)  # the pruned alone
            weight.copy_(self._dense[name])

    @torch.no_grad()
    def _after(self, *_: Any) -> None:
        for name, weight in self._weights.items():
            self._dense[name].copy_(weight)
            self.masks[name] = self.rule.mask(name, weight)
        self._apply()

    @torch.no_grad()
    def _apply(self) -> None:
        for name, weight in self._weights.items():
            weight.mul_(self.masks[name].to(weight.dtype)).add_(0.0)  # no zero is negative


__all__ = ["SrSte"]
