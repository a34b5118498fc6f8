"""Reformat layers: where a tensor changes its dtype or its layout between two layers of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from ...common.schema import Document
from .inspector import InspectedLayer, Kind, TensorInfo


class Hop(Document):
    """One Reformat layer.

    Attributes:
        layer: its name in the engine.
        change: `dtype` (integers to float or back), `layout` (the same dtype in another order), or `unknown`.
        from_format: what it reads, in TensorRT's words.
        to_format: what it writes.
        made_by: the ONNX nodes (else the layer) that its tensor comes from; empty for an input of the network.
        read_by: those that read what it writes; empty for an output of the network.
        origin: why it is there, in TensorRT's words: `REFORMAT`, or `QDQ` where it is a Q or DQ node itself.
        between_int8: float, though the layers on both sides compute on integers.
    """

    layer: str
    change: Literal["dtype", "layout", "unknown"]
    from_format: str
    to_format: str
    made_by: list[str]
    read_by: list[str]
    origin: str
    between_int8: bool


def hops(layers: Sequence[InspectedLayer]) -> list[Hop]:
    """Every Reformat layer, in the engine's order."""
    return [_hop(layer, layers) for layer in layers if layer.type.lower() == "reformat"]


def _hop(layer: InspectedLayer, layers: Sequence[InspectedLayer]) -> Hop:
    read, written = _names(layer.inputs), _names(layer.outputs)
    makers = [other for other in layers if read & _names(other.outputs)]
    readers = [other for other in layers if written & _names(other.inputs)]
    kinds = _kind(layer.inputs), _kind(layer.outputs)
    return Hop(
        layer=layer.name, change=_change(*kinds), from_format=_format(layer.inputs), to_format=_format(layer.outputs),
        made_by=_nodes(makers), read_by=_nodes(readers), origin=layer.origin,
        between_int8="float" in kinds and _int8(makers, readers),
    )


def _int8(makers: Sequence[InspectedLayer], readers: Sequence[InspectedLayer]) -> bool:
    """Weighted layers on both sides read integers; a reader's integers may be what the Reformat itself makes."""
    return any(_computes(maker) for maker in makers) and any(_computes(reader) for reader in readers)


def _computes(layer: InspectedLayer) -> bool:
    return layer.type.lower() != "reformat" and "int8" in {tensor.kind for tensor in layer.inputs}


def _change(before: Kind, after: Kind) -> Literal["dtype", "layout", "unknown"]:
    if "unknown" in (before, after):
        return "unknown"
    return "layout" if before == after else "dtype"


def _names(tensors: Iterable[TensorInfo]) -> set[str]:
    return {name for tensor in tensors if (name := tensor.name)}


def _kind(tensors: Sequence[TensorInfo]) -> Kind:
    return tensors[0].kind if tensors else "unknown"


def _format(tensors: Sequence[TensorInfo]) -> str:
    return tensors[0].format if tensors else ""


def _nodes(layers: Iterable[InspectedLayer]) -> list[str]:
    return list(dict.fromkeys(name for layer in layers for name in layer.onnx_nodes or (layer.name,)))


__all__ = ["Hop", "hops"]
