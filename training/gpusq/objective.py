"""GPUSQ-ViT's loss: hard labels, soft answers and late features of a teacher, in one objective.

Source: "Boost Vision Transformer with GPU-Friendly Sparsity and Quantization", CVPR 2023, arXiv 2305.10727; what the
public text leaves open is this project's choice, and docs/sparsity.md says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ...common.errors import UserError
from ..checks import answer, check_labels, checked, logits_for, tried, unlabelled
from ..config import GpusqConfig
from ..distill import divergence
from ..objective import Objective, placed
from .factors import write_losses
from .features import caught
from .losses import feature_losses, same_prediction

_SAMPLES = "samples"


class Gpusq(Objective):
    """The loss of both stages: hard * CE + soft * KL + feature * sum over layers of factor * MSE.

    Args:
        teacher: its weights don't change; always in eval mode, shown what the student is shown.
        config: weights of the terms, temperature, gate, and whether labels are read.
        layers: paths of the layers whose features are compared.
        factors: what each layer's features count, by path. Defaults to 1 each.
        smoothing: of the labels of the hard term, for each epoch. Defaults to none.
    """

    def __init__(
        self, teacher: nn.Module, config: GpusqConfig, layers: list[str], factors: Mapping[str, float] | None = None,
        smoothing: Sequence[float] = (),
    ) -> None:
        self.teacher, self.config, self.layers = teacher.eval().requires_grad_(False), config, layers
        self.factors, self.smoothing = dict(factors or dict.fromkeys(layers, 1.0)), smoothing
        self._smoothing, self._sums = 0.0, self._zeros()

    def place(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the teacher."""
        placed(self.teacher, device, memory_format)

    def start(self, epoch: int) -> None:
        """The means of the feature losses are those of one epoch."""
        self._smoothing = self.smoothing[epoch - 1] if self.smoothing else 0.0
        self._sums = self._zeros()

    def _zeros(self) -> dict[str, torch.Tensor]:
        return {name: torch.zeros((), dtype=torch.float64) for name in (*self.layers, _SAMPLES)}

    def batches(self, loader: Iterable[Any]) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Inputs with labels, checked; without supervision the inputs alone are looked at, and no labels come."""
        return checked(loader, "train") if self.config.labels else unlabelled(loader, "train")

    def __call__(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        """The loss of one batch; features are compared where both predict the same class."""
        config, layers = self.config, self.layers if self.config.feature else []
        with caught(model, layers) as learned:
            logits = logits_for(model, inputs, targets, where) if config.labels else answer(model, inputs, where)
        with torch.no_grad(), caught(self.teacher, layers) as shown:
            told = answer(self.teacher, inputs, where).float()
        logits = logits.float()
        loss = config.hard * self._hard(logits, told, targets) if config.hard else logits.new_zeros(())
        if config.soft:
            loss = loss + config.soft * divergence(logits, told, config.temperature)
        if layers:
            loss = loss + config.feature * self._features(learned, shown, logits, told)
        return loss

    def _hard(self, logits: torch.Tensor, told: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        goal = targets.long() if self.config.labels else told.argmax(1)
        return F.cross_entropy(logits, goal, label_smoothing=self._smoothing)

    def _features(
        self, learned: Mapping[str, torch.Tensor], shown: Mapping[str, torch.Tensor], logits: torch.Tensor,
        told: torch.Tensor,
    ) -> torch.Tensor:
        losses = feature_losses(learned, shown, same_prediction(logits, told) if self.config.gate else None)
        self._gather(losses, len(logits))
        total: torch.Tensor = torch.stack([self.factors[layer] * loss for layer, loss in losses.items()]).sum()
        return total

    def _gather(self, losses: Mapping[str, torch.Tensor], samples: int) -> None:
        for layer, loss in losses.items():
            self._sums[layer] = self._sums[layer].to(loss.device) + loss.detach().double() * samples
        self._sums[_SAMPLES] = self._sums[_SAMPLES] + samples

    @property
    def losses(self) -> dict[str, float]:
        """Each layer's feature loss without its factor, the mean over the epoch's samples so far; empty before any."""
        samples = float(self._sums[_SAMPLES])
        return {layer: float(self._sums[layer]) / samples for layer in self.layers} if samples else {}

    def state(self) -> dict[str, torch.Tensor]:
        """Sums of the feature losses over the epoch, float64."""
        return {name: total.cpu() for name, total in self._sums.items()}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""
        self._sums = dict(tensors)

    def finish(self, folder: Path) -> None:
        """Leave the last epoch's feature losses, and the factors that were used, in `features.json`."""
        if self.losses:
            write_losses(folder, self.losses, self.factors)

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Try the first batch of the train loader, before any training.

        Raises:
            UserError: labels are missing or wrong though the recipe wants them, or the teacher's answers or features
                don't have the student's shapes.
        """
        try:
            _, inputs, targets = next(self.batches(loader))
        except UserError as error:
            if self.config.labels:
                raise UserError(error.what, where=error.where, fix=f"{error.fix or ''} Without labels, set "
                                "`gpusq: {labels: false}`.".strip()) from error
            raise
        ours, taught = self._tried(model, inputs[:2]), self._tried(self.teacher, inputs[:2])
        if self.config.labels:
            check_labels(targets, ours["logits"], "train loader, batch 0")
        for name, shape in ours.items():
            _compare(name, shape, taught[name])

    def _tried(self, model: nn.Module, inputs: torch.Tensor) -> dict[str, tuple[int, ...]]:
        layers = self.layers if self.config.feature else []
        with caught(model, layers) as found:
            logits = tried(model, inputs, "train loader, batch 0")
        for layer in layers:
            _check_feature(layer, found.get(layer), len(inputs))
        return {"logits": tuple(logits.shape), **{layer: tuple(found[layer].shape) for layer in found}}


def _check_feature(layer: str, found: torch.Tensor | None, samples: int) -> None:
    if found is None or found.ndim < 2 or len(found) != samples or not found.is_floating_point():
        said = "gives no tensor" if found is None else f"gives {found.dtype} of shape {tuple(found.shape)}"
        raise UserError(f"The layer {layer!r} {said}; a feature is float with one entry per sample.",
                        where="training: gpusq: critical", fix="Name layers that forward() calls on whole batches.")


def _compare(name: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    if student != teacher:
        what = "answers" if name == "logits" else f"features of {name!r}"
        raise UserError(f"The teacher's {what} have the shape {teacher} and the student's {student}.",
                        where="training: gpusq", fix="Teacher and student must be the same architecture.")


__all__ = ["Gpusq"]
