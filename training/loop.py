"""The training loop of one process; Hugging Face Accelerate places it on CPU or GPU, in the precision set for it.

Every epoch starts from random states that only the seed, the stage and the epoch's number decide, so that a run
continued from a checkpoint ends with the very weights of one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from ..common import console
from . import checkpoint
from .checks import check_loss
from .config import OptimizerConfig
from .evaluate import evaluate
from .loaders import Data
from .masks import MaskKeeper
from .objective import Objective, placed
from .optim import learning_rate, make_optimizer, set_rate
from .seeds import seed_all

Metrics = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """What one stage of training does.

    Attributes:
        stage: its name, for people and for the random states.
        epochs: passes over the training set; 0 only evaluates.
        optimizer: hyper-parameters.
        seed: the recipe's.
        key: hash of everything that goes in; a checkpoint with another key is not used.
        objective: reads the batches and gives the loss.
        masks: 2:4 masks by parameter name, held through all steps. Defaults to none.
    """

    stage: str
    epochs: int
    optimizer: OptimizerConfig
    seed: int
    key: str
    objective: Objective
    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)


def fit(model: nn.Module, data: Data, plan: Plan, folder: Path) -> tuple[Metrics, list[Metrics]]:
    """Train `model` in place, with a checkpoint in `folder` after every epoch, and continue from one that is there.

    Returns:
        The metrics on the validation set after the last epoch, and the history: `epoch`, `train_loss`, `loss`,
        `accuracy` and `lr` (of the last step) of each epoch.

    Raises:
        UserError: a batch can't be used (loader and batch named), the loss became NaN or infinite in training or in
            evaluation (the checkpoint of the epoch before is kept), or a checkpoint is damaged.
    """
    return _Loop(model, data, plan, folder).run()


class _Loop:
    def __init__(self, model: nn.Module, data: Data, plan: Plan, folder: Path) -> None:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self.accelerator, self.data, self.plan, self.folder = Accelerator(), data, plan, folder
        self.format = _memory_format(model)
        self.bare = placed(model, self.accelerator.device, self.format)
        keeper = MaskKeeper(self.bare, plan.masks)
        keeper.apply()
        optimizer = make_optimizer(self.bare, plan.optimizer)
        keeper.attach(optimizer)
        self.model, self.optimizer = self.accelerator.prepare(self.bare, optimizer)
        plan.objective.place(self.accelerator.device, self.format)

    def run(self) -> tuple[Metrics, list[Metrics]]:
        done, history = self._resume()
        if done < self.plan.epochs:
            length = _length(self.data.train)
            with console.progress(f"train {self.plan.stage}", (self.plan.epochs - done) * length) as advance:
                self._evaluate(done, batches=1)  # what is wrong with it shows before the first epoch
                for epoch in range(done + 1, self.plan.epochs + 1):
                    start = time.perf_counter()
                    history.append(self._epoch(epoch, length, advance))
                    self._save(epoch, history)
                    console.log(self._line(history[-1], time.perf_counter() - start))
        last = {name: history[-1][name] for name in ("accuracy", "loss")} if history else self._evaluate(0)
        placed(self.bare, torch.device("cpu"), torch.contiguous_format)
        return last, history

    def _line(self, entry: Metrics, seconds: float) -> str:
        told = f"train loss {entry['train_loss']:.4f}, accuracy {entry['accuracy']:.4f}, {seconds:.1f} s"
        return f"train {self.plan.stage}: epoch {entry['epoch']} of {self.plan.epochs}, {told}"

    def _resume(self) -> tuple[int, list[Metrics]]:
        found = checkpoint.load(self.folder, self.plan.key)
        if found is None:
            return 0, []
        checkpoint.unpack(found.tensors, self.bare, self.optimizer)
        self.plan.objective.load_state(checkpoint.part(found.tensors, "objective"))
        console.say(f"train {self.plan.stage}: continuing after epoch {found.epoch} of {self.plan.epochs}")
        return found.epoch, found.history

    def _save(self, epoch: int, history: list[Metrics]) -> None:
        tensors = checkpoint.pack(self.bare, self.optimizer)
        tensors |= {f"objective/{name}": tensor for name, tensor in self.plan.objective.state().items()}
        checkpoint.save(self.folder, self.plan.key, checkpoint.Checkpoint(epoch, tensors, history))

    def _epoch(self, epoch: int, length: int, advance: Callable[[int], None]) -> Metrics:
        seed_all(self.plan.seed, self.plan.stage, epoch, self.data.train)
        self.model.train()
        self.plan.objective.start(epoch)
        losses, rate = [], 0.0
        for index, inputs, targets in self.plan.objective.batches(self.data.train):
            rate = learning_rate(self.plan.optimizer, (epoch - 1) * length + index, self.plan.epochs * length)
            set_rate(self.optimizer, rate)
            losses.append(self._step(inputs, targets, epoch, index))
            advance(1)
        return {"epoch": epoch, "train_loss": sum(losses) / len(losses), **self._evaluate(epoch), "lr": rate}

    def _evaluate(self, epoch: int, batches: int | None = None) -> Metrics:
        stage = f"{self.plan.stage}, epoch {epoch}"
        metrics = evaluate(self.model, self.data.val, batches=batches, stage=stage)
        return {"loss": metrics["loss"], "accuracy": metrics["accuracy"]}

    def _step(self, inputs: torch.Tensor, targets: torch.Tensor, epoch: int, index: int) -> float:
        inputs, targets = inputs.to(self.accelerator.device), targets.to(self.accelerator.device)
        if inputs.ndim == 4:
            inputs = inputs.to(memory_format=self.format)
        loss = self.plan.objective(self.model, inputs, targets, f"train loader, batch {index}")
        check_loss(loss, epoch, index)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if self.plan.optimizer.clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.plan.optimizer.clip)
        self.optimizer.step()
        return float(loss.detach())


def _memory_format(model: nn.Module) -> torch.memory_format:
    plain = any(type(module) is nn.Conv2d for module in model.modules())
    return torch.channels_last if plain else torch.contiguous_format


def _length(loader: Any) -> int:
    try:
        return len(loader)
    except TypeError:
        return sum(1 for _ in loader)


__all__ = ["Metrics", "Plan", "fit"]
