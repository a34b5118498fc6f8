"""What can be found wrong with a stage of this method before anything runs."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ..checks import checked
from ..config import TrainConfig
from ..loaders import Data
from .bounds import check_inputs, declared
from .objective import check_network


def check_amendment(train: TrainConfig, model: nn.Module, datas: Iterable[Data]) -> None:
    """Refuse what can't be; a stage of another method is none of its business.

    Args:
        train: the stage.
        model: the network it trains.
        datas: what its phases train on.

    Raises:
        UserError: there is no batch norm, or inputs that are not float, whose range isn't declared or doesn't fit.
    """
    if train.method != "adversarial_amendment":
        return
    check_network(model, train.adversarial_amendment)
    for data in datas:
        bounds = declared(data)
        _, inputs, _ = next(checked(data.train, "train"))
        check_inputs(inputs, bounds, "train loader, batch 0")


__all__ = ["check_amendment"]
