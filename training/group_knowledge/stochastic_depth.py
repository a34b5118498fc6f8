"""Stochastic depth, a baseline of group knowledge: labels only, and other blocks left out in every batch.

Source: Huang et al., "Deep networks with stochastic depth", ECCV 2016. There, a branch is multiplied by its probability
of survival when the network is tested. Here it is divided by it while it trains, which is the same network with another
scale of the branches' last weights, so that what is measured and exported is the plain network. The first block of a
stage, which mostly changes the shape, always survives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from ...common.errors import UserError
from ..checks import logits_for
from ..config import GroupKnowledgeConfig
from .base import Elastic
from .elastic import scaled, skipped
from .stages import Block, Stage


class StochasticDepth(Elastic):
    """CE of a network from which each batch other blocks are missing.

    Args:
        config: with `survival`, the probability of the last block.
        smoothing: of the labels, for each epoch. Defaults to none.
    """

    def __init__(self, config: GroupKnowledgeConfig, smoothing: Sequence[float] = ()) -> None:
        super().__init__(config.recalibrate, 1, smoothing)
        assert config.survival is not None
        self.survival = config.survival

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Find the stages.

        Raises:
            UserError: as group knowledge, or a branch is not what a module returns.
        """
        super().check(model, loader)
        for block in (block for stage in self.stages for block in stage[1:]):
            if block.branch is None:
                raise UserError(f"The branch of the block {block.path!r} can't be scaled: no module makes it alone.",
                                where="training: group_knowledge: survival",
                                fix="Let forward() take the branch from a module of its own, such as nn.Identity().")

    def terms(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
    ) -> Iterator[torch.Tensor]:
        """The loss of one draw."""
        chances = survivals(self.stages, self.survival)
        lost = [block for block, chance in chances if float(torch.rand(())) >= chance]
        left = [(block, chance) for block, chance in chances if block not in lost]
        blocks = sum(map(len, self.stages)) - len(lost)
        with skipped(lost), scaled((block.branch, 1 / chance) for block, chance in left if block.branch is not None):
            logits = logits_for(model, inputs, targets, where).float()
        self.gather(0, len(inputs), blocks)
        yield self.supervised(logits, targets)

    @property
    def whole(self) -> float:
        """None: every forward pass is a subnet's."""
        return 0.0


def survivals(stages: Sequence[Stage], last: float) -> list[tuple[Block, float]]:
    """The blocks that can be left out, and the probability that each stays.

    It falls linearly with the number of the block among all: 1 - l / L * (1 - last).

    Args:
        stages: of the network.
        last: probability of the last block, above 0, at most 1.
    """
    numbered = enumerate((place, block) for stage in stages for place, block in enumerate(stage))
    count = sum(map(len, stages))
    return [(block, 1 - (index + 1) / count * (1 - last)) for index, (place, block) in numbered if place]


__all__ = ["StochasticDepth", "survivals"]
