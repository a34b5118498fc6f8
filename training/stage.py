"""One stage of training, from the folder of the stage before it to its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..common import files
from ..common.bundle import Layer
from ..common.errors import UserError
from . import checkpoint
from .config import DataConfig, ModelConfig, TrainConfig
from .distill import Distiller
from .eligibility import list_layers
from .evaluate import evaluate, say_metrics
from .factory import build_data, build_model
from .given import refuse_training
from .loaders import Data
from .loop import Metrics, Plan, fit
from .masks import MaskKeeper, magnitude_masks
from .objective import Objective, Supervised
from .restore import (
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

    A sparse stage prunes in one shot and retrains; it leaves `masks.safetensors` and `layers.json` too, and the
    accuracy before retraining in its metrics. A qat stage keeps the masks and ranges that it is given. A run of the
    same stage whose checkpoint is there is continued from its last epoch; after the last one nothing is trained and
    the same files are written again. The checkpoint stays until `forget` is called.

    Args:
        request: what to do.
        folder: the stage's own; made if need be.

    Returns:
        `accuracy` and `loss` on the validation set.

    Raises:
        UserError: data, model, weights or a checkpoint can't be used, or the loss became NaN or infinite.
    """
    with files.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    data = build_data(request.data)
    network = _network(request)
    masks, layers = _masks(request, network)
    extra = _one_shot(network, data, masks) if request.train.stage == "sparse" else {}
    plan = _plan(request, masks)
    metrics, history = fit(network, data, plan, folder)
    _write(request, folder, network, masks, layers)
    plan.objective.finish(folder)
    files.write_json(folder / METRICS, {**metrics, **extra, "history": history})
    say_metrics(request.train.stage, metrics)
    return metrics


def forget(folder: Path) -> None:
    """Delete the checkpoints in a stage's folder; call it when the stage is on record as done."""
    checkpoint.clear(folder)


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


def _masks(request: StageRequest, network: nn.Module) -> tuple[dict[str, torch.Tensor], list[Layer]]:
    if request.train.stage == "sparse":
        layers = list_layers(network, request.train.layers)
        if not any(layer.sparse for layer in layers):
            raise UserError(
                "No layer of this network can be pruned to 2:4.",
                where="training: sparse",
                fix="Widths must be multiples of 16; or name layers in `layers: include`.",
            )
        return magnitude_masks(network, layers), layers
    if request.train.stage == "qat" and request.student:
        return read_masks(request.student), read_layers(request.student)
    return {}, []


def _one_shot(network: nn.Module, data: Data, masks: dict[str, torch.Tensor]) -> Metrics:
    MaskKeeper(network, masks).apply()
    metrics = evaluate(network, data.val, stage="sparse, before retraining")
    say_metrics("pruned, before retraining", metrics)
    return {"one_shot_accuracy": metrics["accuracy"]}


def _plan(request: StageRequest, masks: dict[str, torch.Tensor]) -> Plan:
    train = request.train
    assert train.epochs is not None, "the pipeline resolves epochs"
    assert train.optimizer is not None, "the pipeline resolves the optimizer"
    return Plan(train.stage, train.epochs, train.optimizer, request.seed, request.key, _objective(request), masks)


def _objective(request: StageRequest) -> Objective:
    train = request.train
    assert train.optimizer is not None, "the pipeline resolves the optimizer"
    distiller = None
    if train.distill and request.teacher:
        teacher = load_stage(request.model, request.teacher)
        distiller = Distiller(teacher, train.distill.weight, train.distill.temperature)
    return Supervised(train.optimizer.label_smoothing, distiller)


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
