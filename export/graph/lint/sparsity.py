"""Weights that lost their 2:4 pattern, have it along the wrong axis, or nearly have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from ....common.bundle import Layer
from ..nonzero import nonzero
from ..sparse_rules import QUANTIZE_OUTPUT, reduction
from ..two_four import Sparsity, count_groups
from ..values import Array, is_op
from .context import Context
from .finding import Finding, Rule, name_of

_PRUNED = 0.4  # share of zeros that no weight has by chance: somebody pruned it
_FEW = 0.01
_AGAIN = "Prune it to 2:4 along the axis that is summed over, keep the mask in every later stage, and export it again."
_PATTERN = "A sparse kernel skips two of each four weights along the axis that is summed over, in every group of four."

BROKEN_PROMISE = Rule(
    "SPARSE001", "error", "a layer that was pruned to 2:4 in training and is not in the file",
    "The bundle's record says that it is sparse; the weights that were exported are not.",
    "Export it again from the stage that pruned it; if that doesn't help, the mask was lost in a later stage.",
    anywhere=True,
)
LOST = Rule("SPARSE002", "warning", "a pruned weight that is not 2:4", _PATTERN, _AGAIN)
WRONG_AXIS = Rule("SPARSE003", "warning", "a weight that is 2:4 along an axis that is not summed over", _PATTERN,
                  "Prune along the axis that is summed over: input channels of a Conv, in-features of a Linear.")
NEARLY = Rule("SPARSE004", "warning", "a weight that is 2:4 but for a few groups", _PATTERN,
              "Set the smallest weights of these groups to zero and export it again.")
DENSE = Rule("SPARSE005", "note", "a dense layer in a pruned network that could be 2:4",
             "It runs dense beside layers that may run sparse.", "Prune it too, if accuracy allows.")
PADDED = Rule("SPARSE006", "note", "a reduction axis that only lacks a few channels to be divided by 4",
              "Sparse kernels need whole groups of four.",
              "Widen the layer in front, or pad both with channels of zeros, to a multiple of 16 if it can be.")
FLOAT = Rule("SPARSE007", "note", "a 2:4 weight that is not quantized in a network that is",
             "It can run sparse in 16 bits only, and not at all in FP32.", "Quantize its input and its weight.")
SHARED = Rule("SPARSE008", "note", "one stored weight that several layers read",
              "The layers are pruned, quantized and refitted together; each may need its own pattern or scale.",
              "Store it once for each layer, if they are to differ.")
FLOAT_OUT = Rule("SPARSE009", "warning", "a 2:4 layer with INT8 input and float output",
                 "Sparse INT8 kernels are met with INT8 output only.", QUANTIZE_OUTPUT)
COMPUTED = Rule("SPARSE010", "warning", "a layer whose weights are computed at run time",
                "The builder can't look for zeros in weights that it doesn't know.",
                "Fold what computes the weights into constants before the export.")
RULES = (BROKEN_PROMISE, LOST, WRONG_AXIS, NEARLY, DENSE, PADDED, FLOAT, SHARED, FLOAT_OUT, COMPUTED)


def pattern(node: ir.Node, context: Context) -> Iterator[Finding]:
    """The pattern of one layer's weight."""
    found = context.sparsity.get(node)
    if found is None:
        around = context.surroundings.get(node)
        if around is not None and not around.constant and not is_op(node, "MatMul"):
            yield COMPUTED.at(node, "its weights are computed while the network runs")
        return
    if found.two_four:
        yield from _sparse(node, context)
    elif found.violations:
        yield from _violated(node, found, context)
    elif context.pruned:
        yield from _unaligned(node, context)


def _sparse(node: ir.Node, context: Context) -> Iterator[Finding]:
    found, around = context.sparsity[node], context.surroundings[node]
    if not found.quantized and context.quantized:
        yield FLOAT.at(node, "its weight is 2:4, but float")
    elif found.quantized and around.int8_in and around.float_reader is not None:
        yield FLOAT_OUT.at(node, f"INT8 goes in but float comes out, read by {around.float_reader}")


def _violated(node: ir.Node, found: Sparsity, context: Context) -> Iterator[Finding]:
    share = f"{found.violations} of {found.groups} groups of four hold more than 2 weights that are not zero"
    if found.zeros < _PRUNED:
        yield from _dense(node, context)
    elif found.violations <= max(1, _FEW * found.groups):
        yield NEARLY.at(node, f"all but {found.violations} of its {found.groups} groups of four are 2:4")
    elif (axis := _other_axis(node, found)) is not None:
        yield WRONG_AXIS.at(node, f"it is 2:4 along {axis}, but the layer sums over axis {found.axis}")
    else:
        yield LOST.at(node, f"{found.zeros:.0%} of its weight is zero, but {share}")


def _dense(node: ir.Node, context: Context) -> Iterator[Finding]:
    length, group = _summed(node, context)
    if not context.pruned or length < 4 or group > 1:
        return
    if length % 4:
        yield from _unaligned(node, context)
    else:
        yield DENSE.at(node, f"its weight is dense ({context.sparsity[node].zeros:.0%} zeros)")


def _unaligned(node: ir.Node, context: Context) -> Iterator[Finding]:
    length, group = _summed(node, context)
    if length > 4 and length % 4 and group == 1:
        yield PADDED.at(node, f"it sums over {length} channels; {length + -length % 4} would divide by 4")


def _summed(node: ir.Node, context: Context) -> tuple[int, int]:
    around = context.surroundings[node]
    return reduction(context.sparsity[node], around), around.group


def _other_axis(node: ir.Node, found: Sparsity) -> str | None:
    mask = _mask(node, found.shape)
    if mask is None:
        return None
    for axis, size in enumerate(mask.shape):
        if axis != found.axis and size % 4 == 0 and size and not count_groups(mask, axis)[1]:
            return f"axis {axis}"
    flat = mask.reshape(len(mask), -1)
    if mask.ndim > 2 and flat.shape[1] % 4 == 0 and not count_groups(flat, 1)[1]:
        return "the flattened kernel"
    return None


def _mask(node: ir.Node, shape: Sequence[int]) -> Array | None:
    for value in node.inputs[1::-1]:
        weight = nonzero(value)
        if weight is not None and weight.mask.shape == tuple(shape):
            return np.asarray(weight.mask)
    return None


def shared_weights(context: Context) -> Iterator[Finding]:
    """Stored weights with several readers, told once, at the first."""
    for value, readers in context.weight_readers.items():
        if len(readers) > 1:
            names = ", ".join(name_of(node) for node in readers[1:4]) + (" and more" if len(readers) > 4 else "")
            yield SHARED.at(readers[0], f"it shares the weight {value.name!r} with {names}")


def broken_promises(promised: Sequence[Layer], found: Sequence[Sparsity]) -> list[Finding]:
    """Layers that a bundle's record calls sparse and that are not.

    Args:
        promised: of the bundle's manifest.
        found: at the weights of its graph.
    """
    names = {layer.name for layer in promised if layer.sparse}
    return [BROKEN_PROMISE.at(one.name, f"was pruned to 2:4 in training, but {one.reason}")
            for one in found if one.name.split("#")[0] in names and not one.two_four]


__all__ = ["RULES", "broken_promises", "pattern", "shared_weights"]
