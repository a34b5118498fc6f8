"""Reading and writing ONNX files, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ...common import files
from ...common.errors import UserError

_LARGEST = 2**31 - 1
_FIX = "Export the bundle again with `twofour export`."


def read_model(path: Path) -> ir.Model:
    """Read an ONNX file with all its weights in memory.

    Raises:
        UserError: it is missing or damaged, or its external data is missing or lies outside its folder.
    """
    try:
        proto = onnx.load(path)  # refuses external data outside the folder
        return ir.from_proto(proto)
    except FileNotFoundError as error:
        raise UserError("This model, or the file of its weights, is missing.", where=str(path), fix=_FIX) from error
    except Exception as error:  # protobuf's and onnx's own error classes share no base
        raise UserError(f"This is no readable ONNX model ({_one_line(error)}).", where=str(path), fix=_FIX) from error


def write_model(model: ir.Model, path: Path) -> None:
    """Write `model` without what no output needs.

    Raises:
        UserError: it can't be written, or is larger than an ONNX file can be (2 GiB).
    """
    RemoveUnusedNodesPass()(model)
    proto = ir.to_proto(model)
    if proto.ByteSize() > _LARGEST:
        raise UserError("This network has more than 2 GiB of weights, the limit of an ONNX file.", where=str(path))
    with files.atomic(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


__all__ = ["read_model", "write_model"]
