"""Samples for a network that came as an ONNX file: from an npz file, from the recipe's data, or random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..common import console, files
from ..common.bundle import Tensor
from ..common.errors import UserError
from ..training.config import DataConfig
from .onnx_recipe import TARGETS, OnnxRecipe

Array = np.ndarray[Any, Any]
_RANDOM = 64


@dataclass(frozen=True)
class Samples:
    """Samples along the first axis.

    Attributes:
        inputs: by input name, in the types that the bundle's model takes.
        targets: the right classes, or None where they aren't known.
        origin: where the inputs come from.
    """

    inputs: dict[str, Array]
    targets: Array | None
    origin: Literal["data", "file", "random"]


def gather(recipe: OnnxRecipe, tensors: Sequence[Tensor], batch: int | None) -> Samples:
    """At most `export.eval_samples` samples.

    Args:
        recipe: says where they come from.
        tensors: the model's inputs.
        batch: the batch that the model is fixed to, or None.

    Raises:
        UserError: arrays that don't fit the model's inputs, none at all, or data that can't be used.
    """
    if recipe.model.inputs is not None:
        found = _from_file(Path(recipe.model.inputs), recipe.export.eval_samples)
    elif recipe.data is not None:
        found = _from_data(recipe.data, tensors, recipe.export.eval_samples)
    else:
        console.warn("no inputs were given: the reference is the file's answers to random ones; see --inputs.")
        return Samples(_random(tensors, batch, recipe.seed), None, "random")
    return Samples(_fitting(found.inputs, tensors, found.origin), found.targets, found.origin)


def _from_file(path: Path, count: int) -> Samples:
    arrays = {name: value[:count] if value.ndim else value for name, value in files.load_npz(path).items()}
    targets = arrays.pop(TARGETS, None)
    return Samples(arrays, targets, "file")


def _from_data(config: DataConfig, tensors: Sequence[Tensor], count: int) -> Samples:
    from torch import nn

    from ..export.samples import collect
    from ..training.factory import build_data

    class Positions(nn.Module):
        def forward(self, *args: Any) -> None:
            """Names the inputs of a loader by their order."""

    inputs, targets = collect(Positions(), build_data(config).val, count)
    order = {f"args_{index}": tensor.name for index, tensor in enumerate(tensors)}
    return Samples({order.get(name, name): value for name, value in inputs.items()}, targets, "data")


def _fitting(inputs: dict[str, Array], tensors: Sequence[Tensor], origin: str) -> dict[str, Array]:
    names = {tensor.name for tensor in tensors}
    if inputs.keys() != names:
        raise UserError(f"The model takes the inputs {sorted(names)}; the samples have {sorted(inputs)}.",
                        where="--inputs" if origin == "file" else "data", fix="Give one array for each input, by name.")
    if len(lengths := {len(value) if value.ndim else 0 for value in inputs.values()}) != 1 or 0 in lengths:
        raise UserError("The inputs hold different numbers of samples, or none.", where="--inputs")
    return {tensor.name: _typed(inputs[tensor.name], tensor) for tensor in tensors}


def _typed(value: Array, tensor: Tensor) -> Array:
    wanted = np.dtype(tensor.dtype)
    if value.dtype.kind != wanted.kind:
        raise UserError(f"The input {tensor.name!r} is {value.dtype} in the samples and {wanted} in the model.",
                        where="--inputs", fix=f"Give it as {wanted}.")
    fits = len(value.shape) == len(tensor.shape) and all(
        not isinstance(size, int) or size == found
        for size, found in zip(tensor.shape[1:], value.shape[1:], strict=True)
    )
    if not fits:
        raise UserError(f"The input {tensor.name!r} has shape {list(value.shape)} in the samples and "
                        f"{tensor.shape} in the model.", where="--inputs", fix="Give samples of the model's shape.")
    if wanted.kind == "f" and not np.isfinite(value).all():
        raise UserError(f"The input {tensor.name!r} holds NaN or infinity.", where="--inputs",
                        fix="Leave such samples out.")
    return value.astype(wanted)


def _random(tensors: Sequence[Tensor], batch: int | None, seed: int) -> dict[str, Array]:
    """Standard normal floats, integers of 0 and 1; dynamic dimensions but the batch are 1."""
    generator = np.random.default_rng(seed)
    count = max(_RANDOM, batch or 1)
    made = {}
    for tensor in tensors:
        shape = [count, *(size if isinstance(size, int) else 1 for size in tensor.shape[1:])]
        kind = np.dtype(tensor.dtype)
        values = generator.standard_normal(shape) if kind.kind == "f" else generator.integers(0, 2, shape)
        made[tensor.name] = values.astype(kind)
    return made


__all__ = ["Samples", "gather"]
