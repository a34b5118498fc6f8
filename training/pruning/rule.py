"""What decides which weights stay: a pattern, and scores of magnitude or of magnitude times activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ...common.bundle import Layer
from ..eligibility import reduction_axis, weight_of
from .pattern import Pattern


@dataclass(frozen=True)
class Rule:
    """Gives masks to weights by parameter name.

    Attributes:
        pattern: what may stay.
        axes: the reduction axis of every weight that is pruned, by parameter name (`body.0.conv1.weight`).
        factors: what the magnitudes are multiplied with, of a shape that broadcasts to the weight's; 1 where a name is
            missing. Defaults to none.
    """

    pattern: Pattern
    axes: Mapping[str, int]
    factors: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def scores(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Float, of the weight's shape."""
        scores = weight.detach().abs()
        factor = self.factors.get(name)
        return scores if factor is None else scores * factor.to(scores)

    def mask(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The whole mask, bool of the weight's shape."""
        return self.pattern.mask(self.scores(name, weight), self.axes[name])

    def partial(self, name: str, weight: torch.Tensor, held: torch.Tensor, share: float) -> torch.Tensor:
        """A mask that prunes only a `share` of what the whole one would, and all that `held` prunes already."""
        scores = self.scores(name, weight).masked_fill(~held, -1.0)
        return self.pattern.partial(scores, self.axes[name], share) & held

    def masks(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """The whole masks of a network's weights now."""
        parameters = dict(model.named_parameters())
        return {name: self.mask(name, parameters[name]) for name in self.axes}


def axes_of(model: nn.Module, layers: Sequence[Layer]) -> dict[str, int]:
    """The reduction axis of the weight of every layer that is to be pruned, by parameter name."""
    chosen = [layer.name for layer in layers if layer.sparse]
    assert all(weight_of(model.get_submodule(name)) is not None for name in chosen)
    return {f"{name}.weight": reduction_axis(model.get_submodule(name)) for name in chosen}


__all__ = ["Rule", "axes_of"]
