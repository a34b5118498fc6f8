"""Group knowledge, GKT-style (reconstructed): the loss of the network and of its nested subnets, part by part.

Source: "Boosting Residual Networks with Group Knowledge", AAAI 2024, arXiv 2308.13772; its code is not public, and
docs/training.md says what of this the public text has and what is this project's reconstruction. Stimulative training
(NeurIPS 2022) is the same with `teacher: main`, `nested: false`, `rho: 1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from ..checks import answer, logits_for
from ..config import GroupKnowledgeConfig
from ..distill import divergence
from .base import Elastic
from .elastic import full, shortened
from .sampler import sample


class GroupKnowledge(Elastic):
    """CE of the network with the labels, plus, for each subnet, weight * KL(knowledge of the group above || subnet).

    A loop starts at the whole network and draws one subnet for each group, a subnet of the one before. The knowledge
    of a group is a moving average, over the loops of one batch, of its subnets' logits; that of the group above the
    first is the network's own logits.

    Args:
        config: groups, loops, sampler, teacher and average.
        smoothing: of the labels, for each epoch. Defaults to none.
    """

    def __init__(self, config: GroupKnowledgeConfig, smoothing: Sequence[float] = ()) -> None:
        super().__init__(config.recalibrate, config.groups, smoothing)
        self.config = config

    def terms(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
    ) -> Iterator[torch.Tensor]:
        """The network's loss, then that of each subnet in the order drawn."""
        logits = logits_for(model, inputs, targets, where).float()
        yield self.supervised(logits, targets)
        knowledge: list[torch.Tensor | None] = [logits.detach(), *[None] * self.config.groups]
        for _ in range(self.config.loops):
            keep = full(self.stages)
            for group in range(1, self.config.groups + 1):
                keep = sample(keep if self.config.nested else full(self.stages), self.config.rho, self.config.strict)
                with shortened(self.stages, keep):
                    told = answer(model, inputs, where).float()
                teacher = knowledge[group - 1 if self.config.teacher == "neighbour" else 0]
                assert teacher is not None, "the group above was visited in this loop"
                gap = divergence(told, teacher, self.config.temperature)
                self.gather(group - 1, len(inputs), sum(keep), gap)
                yield self.config.weight * gap
                knowledge[group] = self.aggregated(knowledge[group], told.detach())

    def aggregated(self, known: torch.Tensor | None, told: torch.Tensor) -> torch.Tensor:
        """What a group knows after one more of its subnets answered; logits (N, classes)."""
        if known is None or self.config.aggregate == "last":
            return told
        if self.config.aggregate == "none":
            return known
        return self.config.decay * known + (1 - self.config.decay) * told


__all__ = ["GroupKnowledge"]
