"""Will it run sparse? Said of each layer before there is an engine, from the graph alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import onnx_ir as ir

from ....common.schema import Document
from ..sparse_rules import QUANTIZE_OUTPUT, Reason, grouped, pointwise, small, weight_obstacles
from ..surroundings import Surroundings
from ..two_four import Sparsity
from ..values import is_op
from .context import Context
from .finding import name_of
from .refused import refused, unknown

Verdict = Literal["will run sparse", "may", "won't"]
_MET = "it meets every condition that is known; only an engine proves it"


class Prediction(Document):
    """What is to be expected of one layer in a TensorRT engine that allows sparse weights, on a GPU that has them.

    Attributes:
        node: its name.
        verdict: `will run sparse`: it meets every condition that is known (constant 2:4 weights, one group, INT8 in and
            out, at least 256 channels either way in multiples of 128, no convolution of 1x1), and yet the builder times
            dense kernels too and keeps the faster; `may`: nothing rules it out, but something speaks against it;
            `won't`: something does.
        reason: why.
        change: what would make a difference; None where nothing is known to.
    """

    node: str
    verdict: Verdict
    reason: str
    change: str | None


def predict(model: ir.Model) -> list[Prediction]:
    """A prediction for every layer, in the graph's order; a MatMul of two activations is no layer."""
    return list(predictions(Context(model)).values())


def predictions(context: Context) -> dict[ir.Node, Prediction]:
    """`predict` on what is known of the model, by node."""
    found = {}
    for node in context.weighted:
        around, weight = context.surroundings[node], context.sparsity.get(node)
        if node in context.unreadable:
            continue
        if weight is not None:
            found[node] = _of(node, weight, around, context)
        elif not around.constant and not is_op(node, "MatMul"):
            change = "Fold what computes its weights into constants before the export."
            found[node] = Prediction(node=name_of(node), verdict="won't", change=change,
                                     reason="its weights are computed while the network runs")
    return found


def _of(node: ir.Node, weight: Sparsity, around: Surroundings, context: Context) -> Prediction:
    against = [*weight_obstacles(weight, around), *refused(node, context)]
    verdict: Verdict = "won't"
    if not against:
        against = [*_drawbacks(weight, around), *unknown(node, context)]
        verdict = "may" if against else "will run sparse"
    reason = "; ".join(one.text for one in against) or _MET
    change = next((one.change for one in against if one.change), None)
    return Prediction(node=name_of(node), verdict=verdict, reason=reason, change=change)


def _drawbacks(weight: Sparsity, around: Surroundings) -> Iterator[Reason]:
    if not (weight.quantized and around.int8_in):
        yield Reason("it computes in floating point, which is sparse in 16 bits only",
                     "Quantize its input and its weight, or build with `rest: fp16`.")
    elif around.float_reader is not None:
        yield Reason(f"INT8 goes in but float comes out, read by {around.float_reader}; sparse INT8 kernels are met "
                     "with INT8 output only", QUANTIZE_OUTPUT)
    yield from grouped(weight, around)
    yield from small(weight, around)
    yield from pointwise(weight)


__all__ = ["Prediction", "Verdict", "predict", "predictions"]
