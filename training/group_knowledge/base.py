"""What all methods that train subnets share: the stages, the labels' loss, clean statistics, and a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ...common import console, files
from ...common.errors import UserError
from ..checks import logits_for
from ..objective import Objective
from ..seeds import steady
from .elastic import full
from .recalibrate import recalibrate
from .stages import Stage, usable_stages

RECORD = "group_knowledge.json"
_CLASSES = 2


class Elastic(Objective):
    """Trains a network together with its subnets.

    Args:
        samples: training samples for the statistics of batch norm, before each measurement; 0 leaves them.
        groups: how many groups of subnets the record has.
        smoothing: of the labels, for each epoch. Defaults to none.

    Attributes:
        stages: of the network, known after `check`.
    """

    def __init__(self, samples: int, groups: int, smoothing: Sequence[float] = ()) -> None:
        self.samples, self.groups, self.smoothing = samples, groups, smoothing
        self.stages: list[Stage] = []
        self._smoothing, self._sums = 0.0, self._zeros()

    def _zeros(self) -> dict[str, torch.Tensor]:
        sizes = dict.fromkeys(("gap", "blocks", "passes"), self.groups) | {"samples": 1}
        return {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Find the stages, on the first batch.

        Raises:
            UserError: the batch can't be used, the network gives no logits of classes, or it has no stage with a
                block that can be left out.
        """
        _, inputs, targets = next(self.batches(loader))
        device = next((parameter.device for parameter in model.parameters()), inputs.device)
        self.stages = check_elastic(model, inputs.to(device), targets.to(device))
        counts = ", ".join(map(str, full(self.stages)))
        console.say(f"group knowledge: {len(self.stages)} residual stages with {counts} blocks")

    def start(self, epoch: int) -> None:
        """The record is that of one epoch."""
        self._smoothing = self.smoothing[epoch - 1] if self.smoothing else 0.0
        self._sums = self._zeros()

    def supervised(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy with the labels; counts the samples."""
        self._sums["samples"] += len(logits)
        return F.cross_entropy(logits, targets.long(), label_smoothing=self._smoothing)

    def gather(self, group: int, samples: int, blocks: int, gap: torch.Tensor | None = None) -> None:
        """Note a subnet's forward pass: its group from 0, its blocks of the network's, and its distance."""
        self._sums["passes"][group] += samples
        self._sums["blocks"][group] += samples * blocks / sum(full(self.stages))
        if gap is not None:
            self._sums["gap"][group] += float(gap.detach()) * samples

    def settle(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Batch norm measures and stays with the whole network's statistics."""
        recalibrate(model, loader, self.samples)

    def state(self) -> dict[str, torch.Tensor]:
        """Sums over the epoch, float64."""
        return self._sums

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""
        self._sums = dict(tensors)

    @property
    def whole(self) -> float:
        """Forward passes of the whole network for each sample."""
        return 1.0

    def finish(self, folder: Path) -> None:
        """Leave the last epoch's record in `group_knowledge.json`.

        For each group `kept`, the mean share of blocks, and `gap`, the mean KL divergence from its teacher; and `cost`,
        the blocks that were run for each sample over those of the network.
        """
        sums = self._sums
        samples = float(sums["samples"])
        if not samples:
            return
        kept, gaps = ((sums[name] / sums["passes"]).tolist() for name in ("blocks", "gap"))
        taught = bool(self.whole)  # else nothing teaches, and there is no distance
        groups = [{"kept": blocks} | ({"gap": gap} if taught else {}) for blocks, gap in zip(kept, gaps, strict=True)]
        cost = self.whole + float(sums["blocks"].sum()) / samples
        files.write_json(folder / RECORD, {"groups": groups, "cost": cost})


def check_elastic(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> list[Stage]:
    """The network's stages, where the method can be used.

    Args:
        model: runs on two samples, in eval mode, and is left as it was.
        inputs: the first batch of the train loader, (N, ...), on the network's device.
        targets: (N,).

    Raises:
        UserError: the network gives no logits of classes, or has no stage with a block that can be left out.
    """
    where, training = "train loader, batch 0", model.training
    model.eval()
    with steady(), torch.no_grad():
        logits = logits_for(model, inputs[:2], targets[:2], where)
    model.train(training)
    if logits.ndim != _CLASSES or logits.shape[1] < _CLASSES or not logits.is_floating_point():
        raise UserError(
            f"Group knowledge compares answers over classes, and the model returned {logits.dtype} of shape "
            f"{tuple(logits.shape)}, not float (samples, classes) with two classes or more.",
            where=where, fix="Train a classifier, or take method: supervised.",
        )
    return usable_stages(model, inputs[:2], where)


__all__ = ["RECORD", "Elastic", "check_elastic"]
