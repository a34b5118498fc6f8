"""What can be found wrong before hours are spent: packages, devices, the model, the first batch of each loader."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.console import say, warn
from ..common.lazy import require
from ..engines.backend import find
from . import fingerprint
from .onnx_recipe import AnyRecipe, OnnxRecipe
from .recipe import Recipe
from .stage import read

if TYPE_CHECKING:
    from torch import nn

    from ..training.loaders import Data

_FLOAT_SUMS = ("tensorrt", "tensorrt-sparse")
_PACKAGES = ("torch", "accelerate", "safetensors", "modelopt.torch.quantization", "onnxscript")


def preflight(recipe: AnyRecipe, folder: Path, until: str | None) -> None:
    """Try what the stages are going to need; quick where the network's stages were done with the same inputs.

    Raises:
        UserError: the model or the data can't be made, or a first batch can't be used.
        MissingError: a package is missing or broken, or an engine that is not optional can't be built here.
    """
    if until is None:
        for engine in recipe.engines:
            if not engine.optional:
                find(engine.backend).device()
    if isinstance(recipe, OnnxRecipe):
        if recipe.data is not None:
            require("torch", extra="train", purpose="Reading the recipe's data")
    elif _is_new(recipe, folder):
        say("loading PyTorch and ModelOpt ...")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ModelOpt's, on versions of packages that twofour doesn't use with it
            for package in _PACKAGES:
                require(package, extra="train", purpose="Training")
        _try(recipe)
        _advise(recipe)


def _advise(recipe: Recipe) -> None:
    """Say what is possible but hardly meant."""
    backends = {engine.backend for engine in recipe.engines}
    if recipe.calibrate.placement in _FLOAT_SUMS and backends == {"onnxruntime"}:
        warn("The quantizers' placement is TensorRT's, which fuses sums into convolutions; ONNX Runtime computes such "
             "sums in float and can be slower than FP32. For a CPU engine: `calibrate: {placement: onnxruntime}`.")


def _is_new(recipe: Recipe, folder: Path) -> bool:
    record = read(folder, "dense")
    network = fingerprint.of_network(recipe)
    return record is None or any(record.inputs.get(key) != value for key, value in network.items())


def _try(recipe: Recipe) -> None:
    from ..training.checks import checked, unlabelled
    from ..training.factory import build_data, build_model
    from ..training.given import refuse_training
    from ..training.gpusq.critical import critical_layers
    from ..training.judge import judge_of, require_metric
    from ..training.pictures import check_methods
    from ..training.precision import check_precision
    from ..training.pruning.choose import eligible_layers

    network = build_model(recipe.model)
    refuse_training(network, recipe.training)
    for train in recipe.training:
        check_precision(train.precision)
        if train.stage == "sparse":
            eligible_layers(network, train)
        if train.method == "gpusq" and train.gpusq.feature:
            critical_layers(network, train.gpusq.critical)
    data = build_data(recipe.data)
    require_metric(data, recipe.validation.metric)
    judge_of(data)
    check_methods(data, recipe.training)
    _try_generators(recipe, network, data)
    read = any(train.reads_labels and train.total_epochs for train in recipe.training)
    next(iter((checked if read else unlabelled)(data.train, "train")))
    for name in ("val", "calibration"):
        next(iter(checked(getattr(data, name), name)))
    for phase in (phase for train in recipe.training for phase in train.phases or []):
        if phase.data:
            other = build_data(phase.data)
            require_metric(other, recipe.validation.metric)
            next(iter(checked(other.train, "train")))


def _try_generators(recipe: Recipe, network: nn.Module, data: Data) -> None:
    from ..training.checks import checked
    from ..training.gan.check import check_fit, check_images
    from ..training.gan.make import build_discriminator

    for train in recipe.training:
        if train.adversarial:
            check_images(data)
            index, inputs, targets = next(checked(data.train, "train"))
            check_fit(network, build_discriminator(train.gan), inputs, targets, f"train loader, batch {index}")


__all__ = ["preflight"]
