"""Inputs to run a network on: real ones cut or repeated to a batch, or random ones of the declared shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from ..common.errors import UserError
from .backend import Arrays

_SEED = 24


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


def read_header(path: Path) -> onnx.ModelProto:
    """An ONNX file without its external data.

    Raises:
        UserError: it is missing or is not ONNX.
    """
    if not path.is_file():
        raise UserError("There is no such file.", where=str(path), fix="Give the path of an ONNX file.")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise _not_onnx(path) from error
    if not model.graph.node:
        raise _not_onnx(path)
    return model


def _not_onnx(path: Path) -> UserError:
    return UserError("This file is not an ONNX model, or it is damaged.", where=str(path))


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
    graph = read_header(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if unknown := set(shapes) - {value.name for value in inputs}:
        known = ", ".join(value.name for value in inputs)
        raise UserError(f"The model has no input {sorted(unknown)[0]!r}.", where=str(path), fix=f"Its inputs: {known}.")
    generator = np.random.default_rng(_SEED)
    return {value.name: _random(value, batch, shapes.get(value.name), path, generator) for value in inputs}


def _random(
    value: onnx.ValueInfoProto, batch: int, asked: Sequence[int] | None, path: Path, generator: np.random.Generator
) -> np.ndarray[Any, Any]:
    if not value.type.HasField("tensor_type"):
        raise UserError(f"The input {value.name!r} is no tensor.", where=str(path))
    shape = _shape(value, batch, asked, path)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    if dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "O":
        raise UserError(f"The input {value.name!r} holds text; random text can't be made up.", where=str(path))
    return generator.standard_normal(shape).astype(dtype)


def _shape(value: onnx.ValueInfoProto, batch: int, asked: Sequence[int] | None, path: Path) -> list[int]:
    fixed = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
    if asked is not None and not _fits(asked[1:], fixed[1:]):
        raise UserError(f"The input {value.name!r} can't have the shape {list(asked)}.", where=str(path),
                        fix=f"The file declares {[f if f is not None else '?' for f in fixed]}.")
    if fixed and fixed[0] not in (None, batch):
        raise UserError(f"The input {value.name!r} is fixed to a batch of {fixed[0]}; {batch} was asked for.",
                        where=str(path), fix=f"Profile it with a batch of {fixed[0]}.")
    free = list(asked) if asked is not None else [1 if size is None else size for size in fixed]
    return [batch, *free[1:]] if fixed else []


def _fits(asked: Sequence[int], fixed: list[int | None]) -> bool:
    same_rank = len(asked) == len(fixed)
    return same_rank and all(size in (None, wanted) for size, wanted in zip(fixed, asked, strict=True))


__all__ = ["batch_of", "random_inputs", "read_header"]
