"""One stage of training, from the folder of the stage before it to its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..common import files
from ..common.bundle import Layer
from ..common.errors import UserError
from . import checkpoint
from .config import DataConfig, ModelConfig, PhaseConfig, TrainConfig
from .distill import Distiller
from .evaluate import evaluate, say_metrics
from .factory import build_data, build_model
from .gan.make import make_gan
from .given import refuse_training
from .gpusq.factors import FEATURES
from .gpusq.make import make_objective
from .judge import judge_of, metric_of
from .loaders import Data
from .loop import Metrics, Phase, Plan, fit
from .masks import fit_masks, pruned
from .objective import Objective, Supervised, placed
from .permutation import stage as permutation
from .pictures import Reconstruction, check_methods
from .precision import device
from .pruning.choose import choose, described, eligible_layers, make_masker
from .pruning.masker import Fixed, Masker
from .pruning.pattern import pattern_of
from .restore import (
    MASKS,
    METRICS,
    RANGES,
    WEIGHTS,
    load_stage,
    read_layers,
    read_masks,
    read_placement,
    read_ranges,
    write_masks,
    write_placement,
    write_ranges,
)
from .seeds import seed_all
from .weights import save_tensors


@dataclass(frozen=True)
class StageRequest:
    """What a stage of training is asked to do.

    Attributes:
        model: where the network comes from.
        data: where the samples come from.
        train: the stage, with method, epochs and optimizer filled in.
        seed: the recipe's.
        key: hash of all the inputs; a checkpoint with another key is ignored.
        student: folder of the stage that it starts from, or None for fresh weights (or the model's own).
        teacher: folder of the stage that teaches, or None.
    """

    model: ModelConfig
    data: DataConfig
    train: TrainConfig
    seed: int
    key: str
    student: Path | None = None
    teacher: Path | None = None


def train_stage(request: StageRequest, folder: Path) -> dict[str, float]:
    """Run one stage and leave `weights.safetensors` and `metrics.json` in `folder`.

    A sparse stage prunes by its method and retrains; it leaves `masks.safetensors` and `layers.json` too, and the
    metric of pruning at once, before retraining, in its metrics (`one_shot_accuracy`). With `permute` channels are
    moved before pruning, and `permutation.json` says which. A qat stage keeps the masks and ranges that it is given.
    With `method: gpusq` both leave their feature losses in `features.json`; with a discriminator each stage leaves it
    in `discriminator.safetensors`. A run of the same stage whose checkpoint is there is continued from its last epoch;
    after the last one nothing is trained and the same files are written again. The checkpoint stays until `forget` is
    called.

    Args:
        request: what to do.
        folder: the stage's own; made if need be.

    Returns:
        The data's metric and `loss` on the validation set.

    Raises:
        UserError: data, model, weights or a checkpoint can't be used, or the loss became NaN or infinite.
    """
    with files.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    data = build_data(request.data)
    check_methods(data, [request.train])
    network = _network(request)
    if request.train.stage == "sparse":
        _permute(request, network, data, folder)
    masker, layers, extra = _pruning(request, network, data)
    plan = _plan(request, masker, folder, data)
    metrics, history = fit(network, data, plan, folder)
    masks = {name: mask.cpu() for name, mask in masker.masks.items()}
    if request.train.stage == "sparse":
        layers = described(network, layers, masks, pattern_of(request.train).text)
    _write(request, folder, network, masks, layers)
    (folder / FEATURES).unlink(missing_ok=True)
    plan.objective.finish(folder)
    files.write_json(folder / METRICS, {**metrics, **extra, "history": history})
    say_metrics(request.train.stage, metrics)
    return metrics


def forget(folder: Path) -> None:
    """Delete what only an interrupted stage needs; call it when the stage is on record as done."""
    checkpoint.clear(folder)
    permutation.forget(folder)


def _network(request: StageRequest) -> nn.Module:
    seed_all(request.seed, request.train.stage, 0)
    network = load_stage(request.model, request.student) if request.student else build_model(request.model)
    refuse_training(network, [request.train])
    if request.train.stage == "qat" and not (request.student and (request.student / RANGES).is_file()):
        raise UserError(
            "Quantization-aware training needs a calibrated network to start from.",
            where="training: qat",
            fix="Run `twofour calibrate` first.",
        )
    return network


def _permute(request: StageRequest, network: nn.Module, data: Data, folder: Path) -> None:
    if not request.train.permute:
        (folder / permutation.RECORD).unlink(missing_ok=True)
        return
    layers = eligible_layers(network, request.train)
    permutation.permute_stage(network, layers, data.calibration, request.key, request.seed, folder)


def _pruning(request: StageRequest, network: nn.Module, data: Data) -> tuple[Masker, list[Layer], Metrics]:
    if request.train.stage == "sparse":
        placed(network, device(), torch.contiguous_format)
        rule, layers = choose(network, request.train, data.calibration, partial(judge_of, data))
        masks = rule.masks(network)
        return make_masker(request.train, rule, masks), layers, _one_shot(network, data, masks)
    if request.train.stage == "qat" and request.student:
        masks = read_masks(request.student)
        fit_masks(network, masks, str(request.student / MASKS))
        return Fixed(masks), read_layers(request.student), {}
    return Fixed(), [], {}


def _one_shot(network: nn.Module, data: Data, masks: dict[str, torch.Tensor]) -> Metrics:
    with pruned(network, masks):
        metrics = evaluate(network, data.val, stage="sparse, before retraining", judge=judge_of(data))
    say_metrics("pruned, before retraining", metrics)
    name, value = next(iter(metrics.items()))
    return {f"one_shot_{name}": value}


def _plan(request: StageRequest, masker: Masker, folder: Path, data: Data) -> Plan:
    train = request.train
    phases = [Phase(one.epochs, one.optimizer, build_data(one.data) if one.data else None) for one in _phases(train)]
    objective = _objective(request, folder, data)
    return Plan(train.stage, phases, request.seed, request.key, objective, masker, train.precision, train.average)


def _phases(train: TrainConfig) -> list[PhaseConfig]:
    if train.phases:
        return train.phases
    assert train.epochs is not None, "the pipeline resolves epochs"
    assert train.optimizer is not None, "the pipeline resolves the optimizer"
    return [PhaseConfig(epochs=train.epochs, optimizer=train.optimizer)]


def _objective(request: StageRequest, folder: Path, data: Data) -> Objective:
    train = request.train
    if train.method == "gan":
        return make_gan(train, None, request.teacher, request.seed)
    smoothing = [phase.optimizer.label_smoothing for phase in _phases(train) for _ in range(phase.epochs)]
    teacher = load_stage(request.model, request.teacher) if request.teacher else None
    if teacher is not None and train.permute:
        teacher = permutation.as_permuted(teacher, folder)  # its features are in the student's order
    if train.method == "gan_compression":
        return make_gan(train, teacher, request.teacher, request.seed)
    if train.method == "gpusq":
        return make_objective(train, teacher, smoothing, request.teacher)
    if metric_of(data) != "accuracy":
        return Reconstruction(teacher, train.distill.weight if train.distill else 0.0)
    if train.distill is None or teacher is None:
        return Supervised(smoothing)
    return Supervised(smoothing, Distiller(teacher, train.distill.weight, train.distill.temperature))


def _write(
    request: StageRequest, folder: Path, network: nn.Module, masks: dict[str, torch.Tensor], layers: list[Layer]
) -> None:
    save_tensors(folder / WEIGHTS, network.state_dict())
    if request.train.stage != "dense":
        write_masks(folder, masks, layers)
    if request.train.stage == "qat" and request.student:
        write_ranges(folder, read_ranges(request.student))
        placement = read_placement(request.student)
        if placement is not None:
            write_placement(folder, placement)


__all__ = ["StageRequest", "forget", "train_stage"]
