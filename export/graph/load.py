"""Read an ONNX file that may come from anyone: checked, and never reading outside its own folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ...common.errors import UserError

_FIX = "Export it again, or copy it again together with its data files."


def load(path: Path) -> ir.Model:
    """Read and check an ONNX file; large weights stay on disk until they are used.

    Raises:
        UserError: it is missing, is not ONNX, breaks ONNX's rules, or keeps weights in a file that is missing, too
            short, or outside of the model's folder (also by a link).
    """
    model = _read(path)
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(path, tensor)
    _check(path)
    return _parsed(path)


def _parsed(path: Path) -> ir.Model:
    try:
        return ir.load(path)
    except Exception as error:  # of several unrelated types, on what the checker lets pass, such as names of any bytes
        raise UserError("This ONNX file is damaged: its graph can't be put together.", where=str(path),
                        fix=_FIX) from error


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise UserError("This ONNX file is missing.", where=str(path), fix=_FIX)
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise UserError("This file is not ONNX, or is damaged.", where=str(path), fix=_FIX) from error
    except OSError as error:
        raise UserError(f"This file can't be read ({error.strerror}).", where=str(path)) from error
    if not model.HasField("graph"):
        raise UserError("This file is not ONNX: it holds no graph.", where=str(path), fix=_FIX)
    return model


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:  # the checker raises errors of several unrelated types
        reason = str(error).strip().splitlines()
        raise UserError(
            f"This ONNX file breaks the rules of ONNX: {reason[0] if reason else type(error).__name__}",
            where=str(path),
            fix=_FIX,
        ) from error


def _check_external(path: Path, tensor: onnx.TensorProto) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    data = path.parent / location
    if not location or not data.resolve().is_relative_to(path.parent.resolve()):
        raise UserError(
            f"The weight {tensor.name!r} is kept in the file {location!r}, which leads out of the model's folder.",
            where=str(path),
            fix="Don't use this file, or save it again with its data beside it.",
        )
    if not data.is_file():
        raise UserError(f"The file {location!r} with the weight {tensor.name!r} is missing.", where=str(path), fix=_FIX)
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError as error:
        raise UserError(f"The place of the weight {tensor.name!r} is damaged.", where=str(path), fix=_FIX) from error
    if end > data.stat().st_size:
        raise UserError(f"The file {location!r} is too short for weight {tensor.name!r}.", where=str(path), fix=_FIX)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: object) -> Iterator[onnx.TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(graph)


__all__ = ["load"]
