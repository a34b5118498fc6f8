"""What a stage of training minimises: the seam between the loop and the methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .checks import checked, logits_for
from .distill import Distiller


class Objective:
    """How batches are read and what is minimised on them; networks that teach, and what is gathered, belong to it.

    What it does by itself is the least: labels are read, nothing is changed, checked, kept or left.
    """

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move what it holds to where the network is trained; told once, before all else."""

    def adapt(self, model: nn.Module) -> None:
        """Change the network, in place, into what the method trains; told once, before its optimizer is made."""

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """What can be found wrong on the first batch is said before any training; `start` was told the epoch to come.

        Args:
            model: as it will be trained; its mode is kept.
            loader: the train loader.

        Raises:
            UserError: something is.
        """

    def start(self, epoch: int) -> None:
        """An epoch, counted from 1, begins."""

    def pace(self, share: float) -> None:
        """A step begins, with this share, 0 to 1, of the phase's peak learning rate."""

    def batches(self, loader: Iterable[Any]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """One pass over the train loader: the batch's number, from 0, its inputs and its targets.

        Raises:
            UserError: a batch can't be used; it is named.
        """
        return checked(loader, "train")

    def terms(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
    ) -> Iterator[torch.Tensor]:
        """The parts of one batch's loss, float32 scalars; the gradient of each is taken before the next is asked for.

        So a method of many forward passes needs the memory of one. Without a method of its own, it is one part: the
        loss that calling the objective gives.

        Args:
            model: in training mode.
            inputs: (N, ...), on the network's device.
            targets: as `batches` gave them, on the same device.
            where: loader and batch, for errors.
        """
        yield self(model, inputs, targets, where)

    def __call__(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The whole loss of one batch, a float32 scalar; arguments as `terms`."""
        return torch.stack(list(self.terms(model, inputs, targets, where))).sum()

    def settle(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Bring the network, in place, into the state that is measured and kept; told before every measurement.

        Args:
            model: with the weights that are measured.
            loader: the train loader.
        """

    def measure(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Measure what only the changed network can tell; told once, when training is over, before `restore`.

        Args:
            model: as `settle` left it.
            loader: the validation loader.
        """

    def restore(self, model: nn.Module) -> None:
        """Take back what `adapt` did, when training is over."""

    def state(self) -> dict[str, torch.Tensor]:
        """What goes into a checkpoint at the end of an epoch."""
        return {}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""

    def finish(self, folder: Path) -> None:
        """Leave what later stages need in the stage's folder."""


class Supervised(Objective):
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

    def __call__(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The mixed loss."""
        logits = logits_for(model, inputs, targets, where).float()
        loss = F.cross_entropy(logits, targets.long(), label_smoothing=self._smoothing)
        return self.distiller(loss, logits, inputs, where) if self.distiller else loss


def placed(model: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    """Move a network, in place."""
    move: Any = model.to(device).to  # PyTorch's stub lacks this overload
    moved: nn.Module = move(memory_format=memory_format)
    return moved


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """The network is in eval mode while the block runs."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


__all__ = ["Objective", "Supervised", "at_rest", "placed"]
