"""Optimizers and the schedule of their learning rate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from .config import OptimizerConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum, or AdamW; no weight decay on biases, normalisation and other vectors."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """The rate of one step: linear up to the peak, then half a cosine down to zero.

    Args:
        config: peak and share of the warm-up.
        step: from 0.
        steps: of the whole stage.
    """
    warmup = config.warmup * steps
    if step < warmup:
        return config.lr * (step + 1) / (math.floor(warmup) + 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group of parameters this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


__all__ = ["learning_rate", "make_optimizer", "set_rate"]
