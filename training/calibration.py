"""The calibration stage: quantizers inserted, their ranges chosen, the result measured and written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..calibrate.batches import checked
from ..calibrate.config import CalibrateConfig
from ..common import console, files
from ..common.bundle import Layer, Range
from ..common.errors import UserError
from .config import DataConfig, LayersConfig, ModelConfig
from .eligibility import list_layers
from .evaluate import evaluate, say_metrics
from .factory import build_data, build_model
from .given import METHOD, given_ranges
from .judge import judge_of
from .masks import fit_masks, found_masks
from .placement.placement import Placement
from .restore import (
    LAYERS,
    MASKS,
    METRICS,
    WEIGHTS,
    load_stage,
    read_layers,
    read_masks,
    write_masks,
    write_placement,
    write_ranges,
)
from .seeds import seed_all
from .weights import save_tensors


def calibration_stage(
    model: ModelConfig, data: DataConfig, config: CalibrateConfig, source: Path | None, folder: Path, seed: int
) -> dict[str, float]:
    """Quantize and calibrate the network of `source`; leave weights, ranges, masks, layers and metrics in `folder`.

    Args:
        model: where the network comes from.
        data: whose calibration loader chooses the ranges and whose validation loader measures the result.
        config: placement of the quantizers, method and number of batches.
        source: folder of the training stage before, or None for the model's own weights.
        folder: the stage's own; made if need be.
        seed: the recipe's.

    Returns:
        The data's metric and `loss` of the calibrated, not fine-tuned fake-quant network on the validation set.

    Raises:
        UserError: data or weights can't be used; the batch or the file is named.
    """
    from ..calibrate.calibrate import calibrate
    from .quantize import place

    loaders = build_data(data)
    seed_all(seed, "calibrate", 0)
    network = load_stage(model, source) if source else build_model(model).eval()
    masks, layers = _sparsity(network, source)
    ranges = _given(network, config)
    placement: Placement | None = None
    if not ranges:
        sparse = [layer.name for layer in list_layers(network, LayersConfig()) if layer.sparse]
        example = _example(loaders.calibration)
        placement = place(network, config.placement, example, [*sparse, *_pruned(layers)], config.bits)
        seed_all(seed, "calibrate", 1, loaders.calibration)
        ranges = calibrate(network, loaders.calibration, config)
    metrics = evaluate(network, loaders.val, stage="calibrate", judge=judge_of(loaders))
    save_tensors(folder / WEIGHTS, network.state_dict())
    write_ranges(folder, ranges)
    if placement is not None:
        write_placement(folder, placement)
    write_masks(folder, masks, layers)
    files.write_json(folder / METRICS, metrics)
    say_metrics("calibrated", metrics)
    return metrics


def _given(network: nn.Module, config: CalibrateConfig) -> list[Range]:
    ranges = given_ranges(network)
    if ranges and config.bits != ranges[0].bits:
        raise UserError("The network comes with quantizers of 8 bits, and they are kept.", where="calibrate.bits: 4",
                        fix="Return it without quantizers from model.factory, or leave bits out.")
    if ranges:
        console.say(f"calibrate: the network comes with {len(ranges)} quantizers; they and their ranges are kept")
    elif config.method == METHOD:
        raise UserError("The network comes without quantizers.", where="calibrate.method: given",
                        fix="Return a quantized, calibrated network from model.factory, or choose another method.")
    return ranges


def _sparsity(network: nn.Module, source: Path | None) -> tuple[dict[str, torch.Tensor], Sequence[Layer]]:
    if source and (source / LAYERS).is_file():
        masks = read_masks(source)
        fit_masks(network, masks, str(source / MASKS))
        return masks, read_layers(source)
    layers = list_layers(network, LayersConfig())
    masks = found_masks(network, layers)
    return masks, [_as_found(layer, f"{layer.name}.weight" in masks) for layer in layers]


def _pruned(layers: Sequence[Layer]) -> list[str]:
    return [layer.name for layer in layers if layer.sparse]


def _example(loader: Iterable[Any]) -> torch.Tensor:
    """Two samples of the first batch; calibration itself says what is wrong with a loader."""
    for _, inputs, _ in checked(loader, "calibration"):
        return inputs[:2]
    raise UserError("The loader is empty.", where="calibration loader", fix="Let it give at least one batch.")


def _as_found(layer: Layer, sparse: bool) -> Layer:
    if not layer.sparse:
        return layer
    reason = "its weights came 2:4" if sparse else "there was no sparse stage"
    return layer.model_copy(update={"sparse": sparse, "reason": reason})


__all__ = ["calibration_stage"]
