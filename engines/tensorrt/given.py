"""The caller's inputs and stream: taken as they are where they fit, refused where they don't. Nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ...common.errors import UserError
from ..cuda.stream import Stream
from ..cuda.view import View, view_of
from .ports import Port, Ports, Shape

Given: TypeAlias = "np.ndarray[Any, Any] | View"


def take(ports: Ports, inputs: Mapping[str, Any], where: str | None = None) -> dict[str, Given]:
    """The inputs in the engine's order, each an array of the host or a view of one on the device.

    Args:
        ports: of the engine.
        inputs: NumPy arrays, what has `__array__` (a torch tensor on the CPU), or what has `__cuda_array_interface__`.
        where: the engine's file, for errors. Defaults to nothing.

    Raises:
        UserError: an input is missing or unknown, is no array, or has a dtype or shape that the engine doesn't take.
    """
    if set(inputs) != set(ports.inputs):
        raise UserError(_names(set(ports.inputs) - set(inputs), set(inputs) - set(ports.inputs)), where=where,
                        fix=f"The engine takes: {', '.join(ports.inputs)}.")
    try:
        return _taken(ports, inputs)
    except UserError as error:
        raise UserError(error.what, where=error.where or where, fix=error.fix) from error


def _taken(ports: Ports, inputs: Mapping[str, Any]) -> dict[str, Given]:
    found = {name: _given(name, inputs[name]) for name in ports.inputs}
    for name, port in ports.inputs.items():
        _check_dtype(port, found[name])
        _check_shape(port, tuple(found[name].shape))
        if port.on_host and isinstance(found[name], View):
            raise UserError(f"TensorRT reads the input {name!r} in the host's memory.", fix="Give a NumPy array.")
    return found


def _names(missing: set[str], unknown: set[str]) -> str:
    said = [f"{word} {', '.join(map(repr, sorted(names)))}" for word, names in
            (("misses the input", missing), ("holds the unknown input", unknown)) if names]
    return f"What was given {' and '.join(said)}."


def _given(name: str, value: Any) -> Given:
    try:
        view = view_of(value)
    except UserError as error:
        raise UserError(error.what, where=f"input {name!r}", fix=error.fix) from error
    if view is not None:
        return view
    if not isinstance(value, (np.ndarray, np.generic)) and not hasattr(value, "__array__"):
        raise UserError(f"The input {name!r} is no array but of the type {type(value).__name__}.",
                        fix="Give a NumPy array, or an array on the GPU.")
    return np.asarray(value)


def _check_dtype(port: Port, value: Given) -> None:
    same_bits = port.dtype.name == "bfloat16" and value.dtype.kind == "V" and value.dtype.itemsize == 2
    if value.dtype != port.dtype and not (same_bits and isinstance(value, View)):
        shown = value.dtype if value.dtype.isnative else value.dtype.str
        raise UserError(f"The input {port.name!r} has the dtype {shown}; the engine takes {port.dtype}.",
                        fix=f"Convert it, for example with .astype({port.dtype.name!r}).")


def _check_shape(port: Port, shape: Shape) -> None:
    assert port.ranges is not None
    low, _, high = port.ranges
    if port.on_host and -1 in low:
        return
    if len(shape) != len(low):
        raise UserError(f"The input {port.name!r} has the shape {shape}; the engine takes {_shown(port)}.",
                        fix=f"Give it with {len(low)} dimensions.")
    for axis, size in enumerate(shape):
        if not low[axis] <= size <= high[axis]:
            raise _outside(port, shape, axis)


def _outside(port: Port, shape: Shape, axis: int) -> UserError:
    assert port.ranges is not None
    least, most = port.ranges[0][axis], port.ranges[2][axis]
    if axis == 0 and port.shape[0] == -1:
        option = "--max-batch" if shape[0] > most else "--min-batch"
        return UserError(f"The input {port.name!r} has a batch of {shape[0]}; the engine takes {least} to {most}.",
                         fix=f"Give other batches, or build the engine again with {option} {max(shape[0], 1)}.")
    fix = f"Give it so, or build the engine again with --shape {port.name}=MIN:OPT:MAX." if port.shape[axis] == -1 \
        else "Give it so; this dimension is fixed in the ONNX file."
    return UserError(f"The input {port.name!r} has the shape {shape}; the engine takes {_shown(port)}.", fix=fix)


def _shown(port: Port) -> str:
    """`(1..64, 3, 32, 32)`."""
    assert port.ranges is not None
    low, _, high = port.ranges
    return f"({', '.join(str(a) if a == b else f'{a}..{b}' for a, b in zip(low, high, strict=True))})"


def stream_of(value: Any) -> Stream:
    """The caller's stream, borrowed.

    Args:
        value: CUDA's handle as an int, or a stream of torch, CuPy, numba, PyCUDA, cuda.core or twofour.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(value, Stream):
        return value
    handle = _handle(value)
    if handle is None:
        raise UserError(f"This is no CUDA stream: {value!r}.",
                        fix="Give its handle as an int, or a stream of torch, CuPy, numba, PyCUDA or cuda.core.")
    return Stream.borrowed(handle)


def _handle(value: Any) -> int | None:
    if isinstance(value, (bool, str)) or value is None:
        return None
    if (protocol := getattr(value, "__cuda_stream__", None)) is not None:
        return int((protocol() if callable(protocol) else protocol)[1])
    for name in ("cuda_stream", "ptr", "handle"):
        if hasattr(value, name):
            value = getattr(value, name)
            value = getattr(value, "value", value)  # numba's is a ctypes pointer, whose null is None
            break
    else:
        if not isinstance(value, int):
            return None
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return None


__all__ = ["Given", "stream_of", "take"]
