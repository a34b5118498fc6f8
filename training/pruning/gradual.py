"""Gradual pruning: the share of weights that is gone grows along a cubic curve, from `initial` to the whole pattern.

On its way a mask prunes only weights that the whole pattern would prune, those of the lowest scores first; what is
pruned stays pruned. After the end of the curve the masks don't change any more.

Source: Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from ..config import GradualConfig
from ..masks import MaskKeeper
from .masker import fitting
from .rule import Rule


class Gradual:
    """Masks that close step by step.

    Args:
        rule: gives the masks.
        config: when.
    """

    def __init__(self, rule: Rule, config: GradualConfig) -> None:
        self.rule, self.config = rule, config
        self._keeper: MaskKeeper | None = None

    @property
    def masks(self) -> dict[str, torch.Tensor]:
        """Those of now; before the first step nothing is pruned."""
        return self._keeper.masks if self._keeper else {}

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Hold what is pruned so far."""
        parameters = dict(model.named_parameters())
        whole = {name: torch.ones_like(parameters[name], dtype=torch.bool) for name in self.rule.axes}
        self._keeper = MaskKeeper(model, self.masks or whole)
        self._keeper.apply()
        self._keeper.attach(optimizer)

    def step(self, step: int, steps: int) -> None:
        """Prune more where it is time to."""
        share = share_at(self.config, step, steps, self.rule.pattern.sparsity)
        if share is None or self._keeper is None:
            return
        held = self._keeper.masks
        weights = self._keeper.weights.items()
        self._keeper.set({name: self.rule.partial(name, weight, held[name], share) for name, weight in weights})
        self._keeper.apply()

    def state(self) -> dict[str, torch.Tensor]:
        """The masks."""
        return dict(self.masks)

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put them back."""
        fitting(self.masks, tensors, "masks")
        if self._keeper:
            self._keeper.set(tensors)
            self._keeper.apply()


def share_at(config: GradualConfig, step: int, steps: int, sparsity: float = 0.5) -> float | None:
    """How much of what the pattern prunes is to be gone from this step on, 0 to 1; None where nothing changes.

    1 comes at the share `end` of the steps, and at the last step at the latest; where the pattern prunes no more than
    `initial`, at once.

    Args:
        config: when.
        step: from 0.
        steps: of the whole stage.
        sparsity: share of a layer's weights that the pattern prunes. Defaults to 0.5, that of 2:4.
    """
    last = min(math.ceil(config.end * steps), steps - 1)
    first = min(int(config.begin * steps), last)
    if step == last:
        return 1.0
    if not first <= step < last or (step - first) % config.every:
        return None
    left = 1 - min(config.initial / sparsity, 1.0)
    return 1 - left * (1 - (step - first) / (last - first)) ** 3


__all__ = ["Gradual", "share_at"]
