"""From a stage's settings to what the loop does: phases, and the objective of the stage's method."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from .amendment.bounds import declared
from .amendment.measure import RECORD as AMENDMENT
from .amendment.objective import Amendment
from .config import PhaseConfig, TrainConfig
from .distill import Distiller
from .factory import build_data
from .gan.adversary import DISCRIMINATOR
from .gan.make import make_gan
from .gpusq.factors import FEATURES
from .gpusq.make import make_objective
from .group_knowledge.base import RECORD as SUBNETS
from .group_knowledge.make import elastic_objective
from .judge import metric_of
from .loaders import Data
from .loop import Phase, Plan
from .objective import Objective, Supervised
from .permutation import stage as permutation
from .pictures import Reconstruction
from .pruning.masker import Masker
from .request import StageRequest
from .restore import load_stage

RECORDS = (FEATURES, SUBNETS, AMENDMENT, DISCRIMINATOR)  # what a stage's method leaves beside the weights


def make_plan(request: StageRequest, masker: Masker, folder: Path, data: Data) -> Plan:
    """The stage's phases and what it minimises in them.

    Args:
        request: what to do.
        masker: holds the zeros.
        folder: the stage's own.
        data: of the recipe.

    Raises:
        UserError: the method needs what is not there.
    """
    train = request.train
    phases = [Phase(one.epochs, one.optimizer, build_data(one.data) if one.data else None) for one in _phases(train)]
    objective = _objective(request, folder, data, [phase.data or data for phase in phases for _ in range(phase.epochs)])
    return Plan(train.stage, phases, request.seed, request.key, objective, masker, train.precision, train.average)


def _phases(train: TrainConfig) -> list[PhaseConfig]:
    if train.phases:
        return train.phases
    assert train.epochs is not None, "the pipeline resolves epochs"
    assert train.optimizer is not None, "the pipeline resolves the optimizer"
    return [PhaseConfig(epochs=train.epochs, optimizer=train.optimizer)]


def _objective(request: StageRequest, folder: Path, data: Data, each_epoch: list[Data]) -> Objective:
    train = request.train
    smoothing = [phase.optimizer.label_smoothing for phase in _phases(train) for _ in range(phase.epochs)]
    if train.method == "adversarial_amendment" and each_epoch:
        return Amendment(train.adversarial_amendment, [declared(one) for one in each_epoch], smoothing)
    if train.method == "group_knowledge":
        return elastic_objective(train.group_knowledge, smoothing)
    teacher = _teacher(request, folder)
    if train.adversarial:
        return make_gan(train, teacher, request.teacher, request.seed)
    if train.method == "gpusq":
        return make_objective(train, teacher, smoothing, request.teacher)
    weight, temperature = (train.distill.weight, train.distill.temperature) if train.distill else (0.0, 1.0)
    if metric_of(data) != "accuracy":
        return Reconstruction(teacher, weight)
    return Supervised(smoothing, Distiller(teacher, weight, temperature) if teacher else None)


def _teacher(request: StageRequest, folder: Path) -> nn.Module | None:
    if request.teacher is None or request.train.method == "gan":  # whose teacher's folder has the discriminator alone
        return None
    teacher = load_stage(request.model, request.teacher)
    if request.train.permute:
        return permutation.as_permuted(teacher, folder)  # its features are in the student's order
    return teacher


__all__ = ["RECORDS", "make_plan"]
