"""The objective of a stage with `method: group_knowledge`."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import GroupKnowledgeConfig
from .base import Elastic
from .objective import GroupKnowledge
from .stochastic_depth import StochasticDepth


def elastic_objective(config: GroupKnowledgeConfig, smoothing: Sequence[float]) -> Elastic:
    """Group knowledge, or stochastic depth where `survival` is set.

    Args:
        config: the stage's.
        smoothing: label smoothing of each epoch.
    """
    return GroupKnowledge(config, smoothing) if config.survival is None else StochasticDepth(config, smoothing)


__all__ = ["elastic_objective"]
