"""A bundle's inputs and outputs in Triton's words: data types, dims without the batch axis, reshapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...common.bundle import Tensor
from ...common.errors import UserError
from .text import Word

_TYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    "bfloat16": "BF16",
}
_REFUSED = {  # by Triton's own table of data types
    "tensorrt": {"UINT16", "UINT32", "UINT64", "INT16", "FP64"},
    "onnxruntime": {"BF16"},
}


def batched(tensors: Sequence[Tensor]) -> bool:
    """Every tensor's first dimension is dynamic, and the same one: Triton can put requests together along it."""
    first = {tensor.shape[0] if tensor.shape else None for tensor in tensors}
    return len(first) == 1 and isinstance(first.pop(), str)


def datatype(tensor: Tensor, backend: str) -> str:
    """Triton's name of a tensor's dtype in requests (`FP32`); `TYPE_` in front of it makes it that of the config.

    Args:
        tensor: its dtype is NumPy's name, or `bfloat16`.
        backend: `tensorrt` or `onnxruntime`.

    Raises:
        UserError: Triton's backend serves no such tensors: strings, complex numbers, and some more.
    """
    found = _TYPES.get(tensor.dtype)
    if found is None or found in _REFUSED[backend]:
        known = sorted(name for name, kind in _TYPES.items() if kind not in _REFUSED[backend])
        raise UserError(
            f"Triton's backend {backend!r} takes no tensors of dtype {tensor.dtype!r}.", where=tensor.name,
            fix=f"Export the model with tensors of these: {', '.join(known)}.",
        )
    return found


def describe(tensor: Tensor, backend: str, batching: bool) -> dict[str, Any]:
    """The entry of one tensor in `input` or `output`.

    Args:
        tensor: as the bundle has it; its dynamic dimensions become -1.
        backend: `tensorrt` or `onnxruntime`.
        batching: the first dimension is the batch; it is left out. Where nothing remains, requests carry a dimension
            of 1 in its place, which Triton takes away again, since it knows no empty dims.

    Raises:
        UserError: a dtype, shape or name that Triton can't serve.
    """
    _check(tensor)
    entry: dict[str, Any] = {"name": tensor.name, "data_type": Word(f"TYPE_{datatype(tensor, backend)}")}
    dims = [size if isinstance(size, int) else -1 for size in tensor.shape[int(batching):]]
    return entry | ({"dims": dims} if dims else {"dims": [1], "reshape": {"shape": []}})


def _check(tensor: Tensor) -> None:
    if not tensor.name or not _encodable(tensor.name):
        raise UserError(f"A tensor has the name {tensor.name!r}, which Triton can't take.", fix="Export it anew.")
    if not tensor.shape:
        raise UserError("This tensor is a single number without axes, and Triton serves none such.", where=tensor.name,
                        fix="Give it a batch axis, or make it a constant of the model.")
    if any(isinstance(size, int) and size < 1 for size in tensor.shape):
        raise UserError(f"This tensor's shape is {tensor.shape}; Triton takes no dimension below 1.",
                        where=tensor.name, fix="Export it with a positive size or a dynamic dimension.")


def _encodable(text: str) -> bool:
    try:
        return bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False


__all__ = ["batched", "datatype", "describe"]
