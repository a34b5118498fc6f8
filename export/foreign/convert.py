"""Everything that is done to a network that was quantized elsewhere, in order."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from ...common.errors import UserError
from ..graph.int8_weights import store_int8_weights
from ..graph.tidy import tidy
from ..graph.values import FAULTS
from .activations import store_signed_activations
from .biases import store_float_biases
from .domain import use_onnx_domain
from .formats import refuse_formats
from .names import name_all
from .opset import upgrade
from .parameters import write_out
from .remaining import refuse_remaining
from .weights import store_signed_weights
from .widen import is_half, widen


@dataclass(frozen=True)
class Converted:
    """A network as bundles have it.

    Attributes:
        model: FP32 with symmetric INT8 Q/DQ; its weights are stored as int8 codes.
        exact: it answers as the given one bit for bit; only half precision that became FP32 is not.
        notes: what was done, for people to read.
    """

    model: ir.Model
    exact: bool
    notes: list[str]


def convert(model: ir.Model, where: str) -> Converted:
    """Convert what can be converted exactly, and refuse the rest.

    Args:
        model: any network with Q/DQ; it is changed.
        where: the file, for errors.

    Raises:
        UserError: it is quantized in a way that INT8 with zero point 0 can't say exactly, or not at all; with the names
            of the tensors and how to quantize them again. Or its parts contradict each other.
    """
    try:
        return _convert(model, where)
    except FAULTS as error:
        raise UserError(f"This graph contradicts itself: {error}.", where=where,
                        fix="Export it again, or try it in ONNX Runtime first.") from error


def _convert(model: ir.Model, where: str) -> Converted:
    if model.functions:
        InlinePass()(model)
    opset = model.opset_imports.get("")
    notes = [_said(use_onnx_domain(model), "Q and DQ of com.microsoft became ONNX's")]
    refuse_formats(model, where)
    model = upgrade(model, where)
    if (new := model.opset_imports.get("")) != opset:
        notes.append(f"opset {opset} became {new}")
    tidy(model)
    notes.append(_said(write_out(model), "Q and DQ got the scale, zero point or axis written out that was left unsaid"))
    tidy(model)  # scales that were only stored in half precision are gone with their Casts
    half = is_half(model)
    if half:
        notes.append(_said(widen(model), "tensors in half precision became FP32 (this is not exact)"))
        tidy(model)
    notes += _quantizers(model)
    refuse_remaining(model, where)
    name_all(model)
    _finish(model)
    return Converted(model, not half, [note for note in notes if note])


def _quantizers(model: ir.Model) -> list[str]:
    biases, stored = store_float_biases(model), store_int8_weights(model)
    weights, activations = store_signed_weights(model), store_signed_activations(model)
    return [
        _said(biases, "biases of 32-bit integers became FP32"),
        _said(stored, "weights stored as 8-bit integers"),
        _said(weights, "weights moved to int8 with zero point 0"),
        _said(activations, "activations moved from uint8 to int8 with zero point 0"),
    ]


def _said(count: int, what: str) -> str:
    return f"{count} {what}" if count else ""


def _finish(model: ir.Model) -> None:
    for node in model.graph:
        for value in node.outputs:  # what the file said of types and shapes may be older than the conversions
            if not value.is_graph_output() and value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
                value.dtype = ir.DataType.FLOAT
    tidy(model)
    ShapeInferencePass()(model)
    model.producer_name, model.producer_version, model.doc_string = "twofour", None, None


__all__ = ["Converted", "convert"]
