"""What is measured of a network with auxiliary batch norms, before they go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from ..evaluate import evaluate
from ..judge import Classes
from ..loaders import Bounds
from ..seeds import steady
from .attack import Attack
from .dual import aside, distances

RECORD = "amendment.json"


class Attacked(Classes):
    """The metrics on samples that are attacked first.

    Args:
        attack: against the network that is judged.
        bounds: range of the inputs.
    """

    def __init__(self, attack: Attack, bounds: Bounds) -> None:
        super().__init__()
        self.attack, self.bounds = attack, bounds

    def see(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        """Attack one batch, and predict it."""
        super().see(model, self.attack(model, inputs, targets, self.bounds, where)[-1], targets, where)


def measured(model: nn.Module, loader: Iterable[Any], attack: Attack, bounds: Bounds) -> dict[str, Any]:
    """The content of `amendment.json`; the same each time.

    Args:
        model: with its auxiliary batch norms, if it has some.
        loader: the validation set.
        attack: against the main batch norms.
        bounds: range of the inputs.

    Returns:
        `accuracy` through the main batch norms, `auxiliary_accuracy` through the others (None where there are none),
        `attacked_accuracy` through the main ones under the `attack`, and by layer the `distances` of the statistics.
    """
    apart = distances(model)
    with steady():
        benign = evaluate(model, loader)["accuracy"]
        with aside(model):
            auxiliary = evaluate(model, loader)["accuracy"] if apart else None
        attacked = evaluate(model, loader, judge=Attacked(attack, bounds))["accuracy"]
    return {"accuracy": benign, "auxiliary_accuracy": auxiliary, "attacked_accuracy": attacked,
            "attack": asdict(attack), "distances": apart}


__all__ = ["RECORD", "Attacked", "measured"]
