"""Are the names in a file text? Protobuf hands over what isn't as bytes, and every reader would stumble over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx

from ...common.errors import UserError


def check_texts(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a file with a name that is no text.

    Raises:
        UserError: there is one.
    """
    for text in _texts(model):
        if not isinstance(text, str):
            raise UserError(f"This ONNX file is damaged: the name {text!r} in it is no text.", where=str(path),
                            fix="Export it again, or copy it again.")


def _texts(model: onnx.ModelProto) -> Iterator[Any]:
    yield from (model.producer_name, model.producer_version, model.domain, model.doc_string)
    yield from (item.domain for item in model.opset_import)
    yield from _pairs(model.metadata_props)
    yield from _graph(model.graph)
    for function in model.functions:
        yield from (function.name, function.domain, function.doc_string, *function.input, *function.output)
        yield from _nodes(function.node)


def _graph(graph: onnx.GraphProto) -> Iterator[Any]:
    yield from (graph.name, graph.doc_string, *(tensor.name for tensor in graph.initializer))
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from (value.name, value.doc_string)
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    yield from _nodes(graph.node)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[Any]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, node.doc_string, *node.input, *node.output)
        yield from _pairs(node.metadata_props)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.doc_string)
            graphs = [attribute.g] if attribute.HasField("g") else []
            for graph in (*graphs, *attribute.graphs):
                yield from _graph(graph)


def _pairs(entries: Iterable[onnx.StringStringEntryProto]) -> Iterator[Any]:
    for entry in entries:
        yield from (entry.key, entry.value)


__all__ = ["check_texts"]
