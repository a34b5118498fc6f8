"""Does a file hold what its tensors declare? Asked before anything is allocated for them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from ...common.errors import UserError

FIX = "Export it again, or copy it again together with its data files."
_AXES = 64  # the most that numpy knows
_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def check_tensors(model: onnx.ModelProto, path: Path) -> None:
    """Compare each tensor's shape and type with the bytes that are there.

    Args:
        model: as it was read, its external data left where they are.
        path: its file.

    Raises:
        UserError: a tensor's type is unknown, its size isn't that of its data, or its data lie in a file that is
            missing, too short, the model itself, or outside of the model's folder (also by a link).
    """
    for tensor in _tensors(model):
        name, size = tensor.name, _bytes(tensor, path)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(path, tensor, size)
        elif (stored := _stored(tensor, size)) is not None:
            raise UserError(f"The tensor {name!r} of shape {list(tensor.dims)} needs {stored[0]} but holds "
                            f"{stored[1]}.", where=str(path), fix=FIX)


def data_files(path: Path) -> list[str]:
    """The names of the files in which a model's weights lie, relative to its folder.

    Args:
        path: a model that `load` takes.
    """
    model = onnx.load(str(path), format="protobuf", load_external_data=False)
    outside = [tensor for tensor in _tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    return sorted({entry.value for tensor in outside for entry in tensor.external_data if entry.key == "location"})


def _bytes(tensor: onnx.TensorProto, path: Path) -> int:
    try:
        kind = ir.DataType(tensor.data_type)
        bits = 0 if kind == ir.DataType.STRING else kind.bitwidth
        known = kind != ir.DataType.UNDEFINED
    except (ValueError, TypeError):
        known, bits = False, 0
    if not known or len(tensor.dims) > _AXES or any(size < 0 for size in tensor.dims):
        raise UserError(f"The tensor {tensor.name!r} is of no known type or size (type {tensor.data_type}, shape "
                        f"{list(tensor.dims)}).", where=str(path), fix=FIX)
    return int(-(-math.prod(tensor.dims) * bits // 8))


def _stored(tensor: onnx.TensorProto, size: int) -> tuple[str, str] | None:
    """What a tensor needs and what it holds, or None where they agree."""
    if tensor.HasField("raw_data") and tensor.data_type != onnx.TensorProto.STRING:
        held = len(tensor.raw_data)
        return None if held == size else (f"{size} bytes", f"{held}")
    count = math.prod(tensor.dims)
    pairs = tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)
    small = tensor.data_type != onnx.TensorProto.STRING and size < count
    allowed = {size, count} if small else {2 * count if pairs else count}
    held = sum(len(getattr(tensor, field)) for field in _TYPED)
    return None if held in allowed else (f"{max(allowed)} numbers", f"{held}")


def _check_external(path: Path, tensor: onnx.TensorProto, size: int) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    data = _inside(path, location)
    if data is None:
        raise UserError(
            f"The weight {tensor.name!r} is kept in the file {location!r}, which leads out of the model's folder.",
            where=str(path), fix="Don't use this file, or save it again with its data beside it.",
        )
    held = _size(data)
    if held is None:
        raise UserError(f"The file {location!r} with the weight {tensor.name!r} is missing.", where=str(path), fix=FIX)
    if _is_model(data, path):
        raise UserError(f"The weight {tensor.name!r} is kept in the model's own file or under several names (hard "
                        f"links).", where=str(path), fix="Copy the data to a file of its own beside the model.")
    try:
        start, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError as error:
        raise UserError(f"The place of the weight {tensor.name!r} is damaged.", where=str(path), fix=FIX) from error
    if start < 0 or length != size:
        raise UserError(f"The place of the weight {tensor.name!r} is damaged: {length} bytes at {start}, where its "
                        f"shape needs {size}.", where=str(path), fix=FIX)
    if start + length > held:
        raise UserError(f"The file {location!r} is too short for weight {tensor.name!r}.", where=str(path), fix=FIX)


def _inside(path: Path, location: str | bytes) -> Path | None:
    """The data file, links followed, if it lies in the model's folder."""
    if not isinstance(location, str) or not location or "\0" in location:  # bytes where it is no text
        return None
    folder = os.path.realpath(path.parent)
    data = Path(os.path.realpath(os.path.join(folder, location)))
    return data if data.is_relative_to(folder) else None


def _size(data: Path) -> int | None:
    try:
        return data.stat().st_size if data.is_file() else None
    except OSError:
        return None


def _is_model(data: Path, path: Path) -> bool:
    return data.samefile(path) or data.stat().st_nlink > 1


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
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            for tensor in (*sparse, *attribute.sparse_tensors):
                yield from (tensor.values, tensor.indices)
            graphs = [attribute.g] if attribute.HasField("g") else []
            for graph in (*graphs, *attribute.graphs):
                yield from _graph_tensors(graph)


__all__ = ["FIX", "check_tensors", "data_files"]
