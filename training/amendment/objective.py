"""AdvAmd-style (reconstructed) loss: benign samples through the main batch norm, amended ones through the auxiliary.

Source: "Adversarial Amendment is the Only Force Capable of Transforming an Enemy into a Friend", IJCAI 2023, arXiv
2305.10766, for the three components: mediate samples, auxiliary batch norm, a learning ratio by vulnerability. The
formulas are our reconstruction, upon AdvProp (arXiv 1911.09665); docs/training.md says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...common import files
from ...common.errors import UserError
from ..checks import answer, logits_for
from ..config import AdversarialAmendmentConfig
from ..loaders import Bounds
from ..objective import Objective, at_rest
from .attack import Attack
from .bounds import check_inputs
from .dual import aside, convert, has_norms, revert
from .measure import RECORD, measured
from .mediate import mediate
from .weights import sample_losses, vulnerability, weights


class Amendment(Objective):
    """CE(main, benign) + eta * mean of w * CE(auxiliary, amended), w by each sample's vulnerability, of mean 1.

    Args:
        config: attack, mediate samples, weights, and whether there are auxiliary batch norms.
        bounds: range of the inputs in each epoch; the last one's also of what is measured in the end.
        smoothing: of the labels in both terms, for each epoch. Defaults to none.
    """

    def __init__(
        self, config: AdversarialAmendmentConfig, bounds: Sequence[Bounds], smoothing: Sequence[float] = ()
    ) -> None:
        self.config, self.bounds, self.smoothing, self.attack = config, bounds, smoothing, attack_of(config)
        self._bounds, self._smoothing = bounds[-1], 0.0
        self._record: dict[str, Any] = {}

    def adapt(self, model: nn.Module) -> None:
        """Give every batch norm an auxiliary one.

        Raises:
            UserError: there is no batch norm.
        """
        check_network(model, self.config)
        if self.config.auxiliary:
            convert(model)

    def restore(self, model: nn.Module) -> None:
        """The original batch norms are back; the auxiliary ones are gone."""
        revert(model)

    def check(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Attack two samples of the first batch.

        Raises:
            UserError: they can't be attacked within the bounds that are declared.
        """
        where, device = "train loader, batch 0", next((part.device for part in model.parameters()), None)
        _, inputs, targets = next(self.batches(loader))
        check_inputs(inputs, self._bounds, where)
        self.attack(model, inputs[:2].to(device), targets[:2].to(device), self._bounds, where)

    def start(self, epoch: int) -> None:
        """Takes the epoch's bounds and label smoothing."""
        self._bounds = self.bounds[epoch - 1]
        self._smoothing = self.smoothing[epoch - 1] if self.smoothing else 0.0

    def terms(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
    ) -> Iterator[torch.Tensor]:
        """The benign term, then the amendment; with one batch norm both at once, from one batch."""
        if not self.config.auxiliary:
            yield self._joint(model, inputs, targets, where)
            return
        yield self._losses(logits_for(model, inputs, targets, where), targets).mean()
        amended, labels, counts = self._amended(model, inputs, targets, where)
        with aside(model):
            logits = answer(model, amended, where)
        yield self.config.eta * (counts * self._losses(logits, labels)).mean()

    def _joint(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> torch.Tensor:
        amended, labels, counts = self._amended(model, inputs, targets, where)
        logits = logits_for(model, torch.cat((inputs, amended)), torch.cat((targets, labels)), where)
        benign = self._losses(logits[: len(inputs)], targets).mean()
        return benign + self.config.eta * (counts * self._losses(logits[len(inputs):], labels)).mean()

    def _losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return sample_losses(logits, targets, self._smoothing)

    def _amended(
        self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, where: str
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Samples, labels, and what each counts."""
        with aside(model), at_rest(model):
            iterates = self.attack(model, inputs, targets, self._bounds, where)
            counts = self._weights(model, inputs, iterates[-1], targets, where)
        samples = mediate(inputs, iterates, self.config)
        if not self.config.use_endpoint:
            return samples, targets, counts
        return torch.cat((samples, iterates[-1])), torch.cat((targets, targets)), torch.cat((counts, counts))

    def _weights(
        self, model: nn.Module, inputs: torch.Tensor, attacked: torch.Tensor, targets: torch.Tensor, where: str
    ) -> torch.Tensor:
        if self.config.gamma == 0:
            return torch.ones(len(inputs), device=inputs.device)
        with torch.no_grad():
            clean, harmed = answer(model, inputs, where), answer(model, attacked, where)
        return weights(vulnerability(clean, harmed, targets, self.config.vulnerability), self.config.gamma)

    def measure(self, model: nn.Module, loader: Iterable[Any]) -> None:
        """Accuracies of both branches and under the attack, and how far their statistics lie apart."""
        self._record = measured(model, loader, self.attack, self.bounds[-1])

    def finish(self, folder: Path) -> None:
        """Leave what was measured in `amendment.json`."""
        if self._record:
            files.write_json(folder / RECORD, self._record)


def attack_of(config: AdversarialAmendmentConfig) -> Attack:
    """The attack that is configured."""
    return Attack(
        config.attack_eps, config.attack_steps, config.attack_step_size, config.attack_random_start,
        config.attack_target,
    )


def check_network(model: nn.Module, config: AdversarialAmendmentConfig) -> None:
    """There is a batch norm where one is needed.

    Raises:
        UserError: there is none.
    """
    if config.auxiliary and not has_norms(model):
        raise UserError("This network has no batch norm, so it can have no auxiliary one.",
                        where="training: adversarial_amendment",
                        fix="Set `adversarial_amendment: {auxiliary: false}`, or take a network with BatchNorm layers.")


__all__ = ["Amendment", "attack_of", "check_network"]
