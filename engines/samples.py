"""Inputs to run a network on: real ones cut or repeated to a batch, or random ones of the declared shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..common.errors import UserError
from ..export.graph.load import load
from .backend import Arrays

_SEED = 24
_NO_NUMBERS = (ir.DataType.STRING, ir.DataType.UNDEFINED)
_LARGEST = 2**32  # bytes of one input that is made up


def batch_of(inputs: Arrays, batch: int) -> dict[str, np.ndarray[Any, Any]]:
    """The first `batch` samples, repeated from the start where there are fewer; an input of rank 0 stays as it is.

    Raises:
        UserError: an input holds no sample.
    """
    for name, value in inputs.items():
        if value.size == 0:
            raise UserError(f"The input {name!r} holds no sample.", fix="Give at least one sample of real input.")
    return {name: _repeat(value, batch) for name, value in inputs.items()}


def _repeat(value: np.ndarray[Any, Any], batch: int) -> np.ndarray[Any, Any]:
    if value.ndim == 0:
        return value
    return np.ascontiguousarray(value[np.arange(batch) % len(value)])


def random_inputs(path: Path, batch: int, shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs of the shapes and dtypes that an ONNX file declares.

    Floats are drawn from a standard normal distribution, integers from {0, 1} (valid as a mask and as the index of any
    table), always the same. A dynamic first dimension is the batch; other dynamic dimensions are 1.

    Args:
        path: the ONNX file.
        batch: the size of dynamic first dimensions.
        shapes: whole shapes by input name, for other dynamic dimensions; its first number stands for the batch and
            counts only where the first dimension is no batch.

    Raises:
        UserError: no ONNX file, a shape for an input that isn't there or that contradicts the file, a first dimension
            that is fixed to another size than `batch`, or an input that is no tensor of numbers.
    """
    graph = load(path).graph
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    names = [str(value.name) for value in inputs]
    if unknown := sorted(set(shapes) - set(names)):
        raise UserError(f"The model has no input {unknown[0]!r}.", where=str(path),
                        fix=f"Its inputs: {', '.join(names)}.")
    generator = np.random.default_rng(_SEED)
    return {name: _random(value, batch, shapes.get(name), path, generator)
            for name, value in zip(names, inputs, strict=True)}


def _random(
    value: ir.Value, batch: int, asked: Sequence[int] | None, path: Path, generator: np.random.Generator
) -> np.ndarray[Any, Any]:
    if not isinstance(value.type, ir.TensorType) or value.type.dtype in _NO_NUMBERS:
        raise UserError(f"The input {value.name!r} is no tensor of numbers; it can't be made up.", where=str(path))
    shape, dtype = _shape(value, batch, asked, path), value.type.dtype.numpy()
    if min(shape, default=1) < 0 or math.prod(shape) * 8 > _LARGEST:
        raise UserError(f"The input {value.name!r} of shape {shape} is too large to be made up, or has no size.",
                        where=str(path), fix="Give its shape, where the file leaves it open, or use another file.")
    if dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)


def _shape(value: ir.Value, batch: int, asked: Sequence[int] | None, path: Path) -> list[int]:
    fixed = [size if isinstance(size, int) else None for size in value.shape or ()]
    if asked is not None and not _fits(asked, fixed):
        raise UserError(f"The input {value.name!r} can't have the shape {list(asked)}.", where=str(path),
                        fix=f"The file declares {[f if f is not None else '?' for f in fixed]}.")
    if fixed and fixed[0] not in (None, batch):
        raise UserError(f"The input {value.name!r} is fixed to a batch of {fixed[0]}; {batch} was asked for.",
                        where=str(path), fix=f"Profile it with a batch of {fixed[0]}.")
    free = list(asked) if asked is not None else [1 if size is None else size for size in fixed]
    return [batch, *free[1:]] if fixed else []


def _fits(asked: Sequence[int], fixed: list[int | None]) -> bool:
    """All but the first, which stands for the batch."""
    return len(asked) == len(fixed) and all(f in (None, a) for f, a in zip(fixed[1:], asked[1:], strict=True))


__all__ = ["batch_of", "random_inputs"]
