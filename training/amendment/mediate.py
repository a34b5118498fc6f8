"""Mediate samples: between a benign sample and its adversarial one. The rules are our reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..config import AdversarialAmendmentConfig


def mediate(
    inputs: torch.Tensor, iterates: Sequence[torch.Tensor], config: AdversarialAmendmentConfig
) -> torch.Tensor:
    """What the amendment is trained on in the place of the adversarial samples.

    Args:
        inputs: benign, float (N, ...).
        iterates: of the attack, each like the inputs; the last is the adversarial sample.
        config: `mediate_rule` and its parameters; draws are from PyTorch's global random state.

    Returns:
        Like the inputs: the adversarial sample itself (`none`), one of the iterates before it (`iterates`), or a point
        on the line to it.
    """
    if config.mediate_rule == "none":
        return iterates[-1]
    count = len(inputs)
    if config.mediate_rule == "iterates":
        earlier = torch.stack(list(iterates[:-1]))
        chosen = torch.randint(len(earlier), (count,))
        return earlier[chosen.to(inputs.device), torch.arange(count, device=inputs.device)]
    places = shares(count, config).to(inputs).view(-1, *[1] * (inputs.ndim - 1))
    return torch.lerp(inputs, iterates[-1], places)


def shares(count: int, config: AdversarialAmendmentConfig) -> torch.Tensor:
    """How far each sample lies on the line from benign to adversarial, float32 (N,), 0 to 1."""
    if config.mediate_rule == "uniform":
        return torch.rand(count)
    if config.mediate_rule == "grid":
        return torch.randint(1, config.mediate_points + 1, (count,)) / (config.mediate_points + 1)
    both = torch.tensor(config.mediate_alpha)
    return torch.distributions.Beta(both, both).sample((count,))


__all__ = ["mediate", "shares"]
