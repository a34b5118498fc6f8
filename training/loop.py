"""The training loop of one process; Hugging Face Accelerate places it on CPU or GPU, in the precision set for it.

Every epoch starts from random states that only the seed, the stage and the epoch's number decide, so that a run
continued from a checkpoint ends with the very weights of one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ..common import console
from . import checkpoint
from .average import Average
from .checks import check_loss
from .config import OptimizerConfig
from .evaluate import evaluate
from .judge import judge_of
from .loaders import Data
from .objective import Objective, placed
from .optim import learning_rate, make_optimizer, set_rate
from .precision import Precision, load_scaler_state, make_accelerator, scaler_state
from .pruning.masker import Fixed, Masker
from .schedule import Schedule, phase_of
from .seeds import seed_all

Metrics = dict[str, float]
_TOLD = ("epoch", "train_loss", "loss", "lr")
_NOT_MEASURED = ("epoch", "train_loss", "lr")


@dataclass(frozen=True)
class Phase:
    """A part of a stage.

    Attributes:
        epochs: passes over the training set; 0 leaves the phase out.
        optimizer: hyper-parameters; the schedule is over this phase's steps.
        data: what it trains and is measured on, or None for the stage's own.
    """

    epochs: int
    optimizer: OptimizerConfig
    data: Data | None = None


@dataclass(frozen=True)
class Plan:
    """What one stage of training does.

    Attributes:
        stage: its name, for people and for the random states.
        phases: at least one; each begins with a fresh optimizer.
        seed: the recipe's.
        key: hash of everything that goes in; a checkpoint with another key is not used.
        objective: reads the batches and gives the loss.
        masker: holds the zeros in the weights. Defaults to one that prunes nothing.
        precision: of the arithmetic in training; what is measured is FP32. Defaults to `fp32`.
        average: decay of the moving average that is measured and stays in the end, or None for the weights themselves.
    """

    stage: str
    phases: Sequence[Phase]
    seed: int
    key: str
    objective: Objective
    masker: Masker = field(default_factory=Fixed)
    precision: Precision = "fp32"
    average: float | None = None

    @property
    def epochs(self) -> int:
        """Of all phases."""
        return sum(phase.epochs for phase in self.phases)


def fit(model: nn.Module, data: Data, plan: Plan, folder: Path) -> tuple[Metrics, list[Metrics]]:
    """Train `model` in place, with a checkpoint in `folder` after every epoch, and continue from one that is there.

    Returns:
        The metrics on the validation set after the last epoch, and the history: `epoch`, `train_loss`, the metrics and
        `lr` (of the last step) of each epoch.

    Raises:
        UserError: a batch can't be used (loader and batch named), the loss became NaN or infinite in training or in
            evaluation (the checkpoint of the epoch before is kept), or a checkpoint is damaged.
    """
    return _Loop(model, data, plan, folder).run()


class _Loop:
    def __init__(self, model: nn.Module, data: Data, plan: Plan, folder: Path) -> None:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self.accelerator, self.data, self.plan, self.folder = make_accelerator(plan.precision), data, plan, folder
        plan.objective.adapt(model)
        self.format = _memory_format(model)
        self.model = placed(model, self.accelerator.device, self.format)
        self._begin(plan.phases[phase_of([phase.epochs for phase in plan.phases], 0)])
        self.average = None if plan.average is None else Average(self.model, plan.average)
        plan.objective.place(self.accelerator.device, self.format)

    def _begin(self, phase: Phase) -> None:
        self.phase = phase
        optimizer = make_optimizer(self.model, phase.optimizer)
        self.plan.masker.attach(self.model, optimizer)
        self.optimizer = self.accelerator.prepare(optimizer)

    @property
    def _now(self) -> Data:
        return self.phase.data or self.data

    def run(self) -> tuple[Metrics, list[Metrics]]:
        done, history = self._resume()
        if done < self.plan.epochs:
            self._train(done, history)
        last = {name: history[-1][name] for name in history[-1] if name not in _NOT_MEASURED} if history else None
        last = last or self._evaluate(0)
        if self.average:
            self.average.hold(self.plan.masker.masks)
            self.average.settle()
        if history:
            self.plan.objective.settle(self.model, self._now.train)
            self.plan.objective.measure(self.model, self._now.val)
        self.plan.objective.restore(self.model)
        placed(self.model, torch.device("cpu"), torch.contiguous_format)
        return last, history

    def _train(self, done: int, history: list[Metrics]) -> None:
        schedule = Schedule.of([(phase.epochs, phase.data or self.data) for phase in self.plan.phases])
        with console.progress(f"train {self.plan.stage}", schedule.steps - schedule.before(done + 1)) as advance:
            self._evaluate(done, batches=1)  # what is wrong with it shows before the first epoch
            self.plan.objective.start(done + 1)
            self.plan.objective.check(self.model, self._now.train)
            for epoch in range(done + 1, self.plan.epochs + 1):
                start = time.perf_counter()
                phase = self.plan.phases[schedule.phase(epoch)]
                if phase is not self.phase:
                    self._begin(phase)
                history.append(self._epoch(epoch, schedule, advance))
                self._save(epoch, history)
                console.log(self._line(history[-1], time.perf_counter() - start))

    def _line(self, entry: Metrics, seconds: float) -> str:
        metric, value = next(item for item in entry.items() if item[0] not in _TOLD)
        told = f"train loss {entry['train_loss']:.4f}, {metric} {value:.4f}, {seconds:.1f} s"
        return f"train {self.plan.stage}: epoch {entry['epoch']} of {self.plan.epochs}, {told}"

    def _resume(self) -> tuple[int, list[Metrics]]:
        found = checkpoint.load(self.folder, self.plan.key)
        if found is None:
            return 0, []
        phase = self.plan.phases[phase_of([phase.epochs for phase in self.plan.phases], found.epoch)]
        if phase is not self.phase:
            self._begin(phase)
        checkpoint.unpack(found.tensors, self.model, self.optimizer)
        for name, part in self._parts().items():
            part.load_state(checkpoint.part(found.tensors, name))
        load_scaler_state(self.accelerator, checkpoint.part(found.tensors, "scaler"))
        console.say(f"train {self.plan.stage}: continuing after epoch {found.epoch} of {self.plan.epochs}")
        return found.epoch, found.history

    def _parts(self) -> dict[str, checkpoint.Stateful]:
        parts: dict[str, checkpoint.Stateful] = {"objective": self.plan.objective, "masker": self.plan.masker}
        return parts | ({"average": self.average} if self.average else {})

    def _save(self, epoch: int, history: list[Metrics]) -> None:
        tensors = checkpoint.pack(self.model, self.optimizer)
        for part, held in self._parts().items():
            tensors |= {f"{part}/{name}": tensor for name, tensor in held.state().items()}
        tensors |= {f"scaler/{name}": tensor for name, tensor in scaler_state(self.accelerator).items()}
        checkpoint.save(self.folder, self.plan.key, checkpoint.Checkpoint(epoch, tensors, history))

    def _epoch(self, epoch: int, schedule: Schedule, advance: Callable[[int], None]) -> Metrics:
        seed_all(self.plan.seed, self.plan.stage, epoch, self._now.train)
        self.model.train()
        self.plan.objective.start(epoch)
        losses, rate, before = [], 0.0, schedule.before(epoch)
        for index, inputs, targets in self.plan.objective.batches(self._now.train):
            rate = learning_rate(self.phase.optimizer, *schedule.place(epoch, index))
            set_rate(self.optimizer, rate)
            self.plan.objective.pace(rate / self.phase.optimizer.lr)
            self.plan.masker.step(before + index, schedule.steps)
            losses.append(self._step(inputs, targets, epoch, index))
            if self.average:
                self.average.update(before + index)
            advance(1)
        return {"epoch": epoch, "train_loss": sum(losses) / len(losses), **self._evaluate(epoch), "lr": rate}

    def _evaluate(self, epoch: int, batches: int | None = None) -> Metrics:
        stage = f"{self.plan.stage}, epoch {epoch}"
        if self.average:
            self.average.hold(self.plan.masker.masks)
        with self.average.applied() if self.average else nullcontext():
            if epoch and batches is None:
                self.plan.objective.settle(self.model, self._now.train)
            return evaluate(self.model, self._now.val, batches=batches, stage=stage, judge=judge_of(self._now))

    def _step(self, inputs: torch.Tensor, targets: torch.Tensor, epoch: int, index: int) -> float:
        inputs, targets = inputs.to(self.accelerator.device), targets.to(self.accelerator.device)
        if inputs.ndim == 4:
            inputs = inputs.to(memory_format=self.format)
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for loss in self._terms(inputs, targets, f"train loader, batch {index}"):
            check_loss(loss, epoch, index)
            self.accelerator.backward(loss)
            total += float(loss.detach())
        if self.phase.optimizer.clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.phase.optimizer.clip)
        self.optimizer.step()
        return total

    def _terms(self, inputs: torch.Tensor, targets: torch.Tensor, where: str) -> Iterator[torch.Tensor]:
        terms = self.plan.objective.terms(self.model, inputs, targets, where)
        while True:
            with self.accelerator.autocast():  # only what computes the loss, not its gradient
                loss = next(terms, None)
            if loss is None:
                return
            yield loss


def _memory_format(model: nn.Module) -> torch.memory_format:
    plain = any(type(module) is nn.Conv2d for module in model.modules())
    return torch.channels_last if plain else torch.contiguous_format


__all__ = ["Metrics", "Phase", "Plan", "fit"]
