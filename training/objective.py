"""What a stage of training minimises: the seam between the loop and the methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from .checks import checked, logits_for
from .distill import Distiller


class Objective(Protocol):
    """How batches are read and what is minimised on them; networks that teach, and what is gathered, belong to it."""

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move what it holds to where the network is trained; told once, before all else."""

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """What can be found wrong on the first batch is said before any training.

        Args:
            model: as it will be trained; its mode is kept.
            loader: the train loader.

        Raises:
            UserError: something is.
        """

    def start(self, epoch: int) -> None:
        """An epoch, counted from 1, begins."""

    def batches(self, loader: Iterable[Any]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """One pass over the train loader: the batch's number, from 0, its inputs and its targets.

        Raises:
            UserError: a batch can't be used; it is named.
        """

    def __call__(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The loss of one batch, a float32 scalar.

        Args:
            model: in training mode.
            inputs: (N, ...), on the network's device.
            targets: as `batches` gave them, on the same device.
            where: loader and batch, for errors.
        """

    def state(self) -> dict[str, torch.Tensor]:
        """What goes into a checkpoint at the end of an epoch."""

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""

    def finish(self, folder: Path) -> None:
        """Leave what later stages need in the stage's folder."""


class Supervised:
    """Cross-entropy with the labels, mixed with a teacher's answers where there is a teacher.

    Args:
        label_smoothing: 0 to 1, for all epochs or for each one. Defaults to 0.
        distiller: adds the teacher's term. Defaults to none.
    """

    def __init__(self, label_smoothing: float | Sequence[float] = 0.0, distiller: Distiller | None = None) -> None:
        self.label_smoothing, self.distiller = label_smoothing, distiller
        self._smoothing = 0.0

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the teacher."""
        if self.distiller:
            placed(self.distiller.teacher, device, memory_format)

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """A teacher must answer as the student does; the loop's own checks say the rest."""
        if self.distiller:
            _, inputs, _ = next(self.batches(loader))
            self.distiller.check(model, inputs[:2])

    def start(self, epoch: int) -> None:
        """Takes the epoch's label smoothing."""
        given = self.label_smoothing
        self._smoothing = given if isinstance(given, float | int) else given[epoch - 1]

    def batches(self, loader: Iterable[Any]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Pairs of inputs and labels, checked."""
        return checked(loader, "train")

    def __call__(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The mixed loss."""
        logits = logits_for(model, inputs, targets, where).float()
        loss = F.cross_entropy(logits, targets.long(), label_smoothing=self._smoothing)
        return self.distiller(loss, logits, inputs, where) if self.distiller else loss

    def state(self) -> dict[str, torch.Tensor]:
        """Nothing."""
        return {}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """There is nothing to put back."""

    def finish(self, folder: Path) -> None:
        """Leaves no file."""


def placed(model: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    """Move a network, in place."""
    move: Any = model.to(device).to  # PyTorch's stub lacks this overload
    moved: nn.Module = move(memory_format=memory_format)
    return moved


__all__ = ["Objective", "Supervised", "placed"]
