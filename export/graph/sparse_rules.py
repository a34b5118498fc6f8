"""What the graph alone tells of a layer's chances to run sparse in TensorRT, in words, with what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .surroundings import Surroundings
from .two_four import Sparsity

_WIDE, _MULTIPLE = 256, 128  # channels from which, and steps in which, sparse kernels pay, by TensorRT's maintainers
_FEW = (16, 8)  # input and output channels below which pruning tools leave a layer alone
_RETRAIN = "Prune it to 2:4 along its reduction axis, keep the mask in every later stage, and export it again."
QUANTIZE_OUTPUT = "Quantize its output, or the other input of the addition behind it: integers must leave the kernel."


@dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        text: part of a sentence about the layer.
        change: what would make a difference, a whole sentence; None where nothing is known to.
    """

    text: str
    change: str | None = None


def weight_obstacles(weight: Sparsity, around: Surroundings) -> Iterator[Reason]:
    """What rules a sparse kernel out, whoever builds the engine, and on whatever GPU."""
    ins = reduction(weight, around)
    if not around.constant:
        yield Reason(weight.reason, "Fold what computes its weights into constants before the export.")
    elif around.group > 1 and ins % 4:
        kind = "depthwise" if ins == 1 else "grouped"
        yield Reason(f"it is {kind}: {_count(ins)} to sum over, and sparse kernels need a multiple of 4",
                     "Use fewer groups; a dense convolution of the same width can be sparse.")
    elif 0 < ins < 4:
        yield Reason(f"it sums over {_count(ins)} only, as the first layer of an image network does; sparse kernels "
                     "need a multiple of 4", "Leave it dense; it is seldom worth more.")
    elif ins % 4 or not ins:
        yield Reason(weight.reason, "Use a number of input channels that is a multiple of 4, better of 16.")
    elif not weight.two_four:
        yield Reason(weight.reason, _RETRAIN)


def grouped(weight: Sparsity, around: Surroundings) -> Iterator[Reason]:
    """Grouped convolutions of whole groups of four are possible, and hardly ever sparse."""
    if around.group > 1:
        yield Reason(f"it has {around.group} groups of {_count(reduction(weight, around))}; grouped convolutions are "
                     "hardly ever sparse", "Use one group.")


def small(weight: Sparsity, around: Surroundings) -> Iterator[Reason]:
    """Too few channels, or a number of them that doesn't fill the kernels' tiles."""
    ins, outs = reduction(weight, around) * around.group, output_channels(weight, around)
    if ins < _FEW[0] or outs < _FEW[1]:
        yield Reason(f"it has few channels ({ins} in, {outs} out)", f"Widen it to {_WIDE} channels or more.")
    elif min(ins, outs) < _WIDE:
        yield Reason(f"it is too small to gain ({ins} channels in, {outs} out; sparse kernels pay from about {_WIDE})",
                     f"Widen it to {_WIDE} channels or more, or accept the dense kernel.")
    elif ins % _MULTIPLE or outs % _MULTIPLE:
        yield Reason(f"its channels ({ins} in, {outs} out) are no multiples of {_MULTIPLE}",
                     f"Use multiples of {_MULTIPLE}.")


def pointwise(weight: Sparsity) -> Iterator[Reason]:
    """A convolution of 1x1: sparse kernels pay less there than at 3x3, by TensorRT's maintainers."""
    if weight.op == "Conv" and len(weight.shape) > 2 and set(weight.shape[2:]) == {1}:
        kernel = "x".join("1" for _ in weight.shape[2:])
        yield Reason(f"its kernel is {kernel}, where sparse kernels pay less than with a larger one")


def reduction(weight: Sparsity, around: Surroundings) -> int:
    """Channels that one output sums over, kernel positions left out."""
    length = weight.shape[weight.axis] if weight.shape else 0
    return length // around.group if weight.op == "ConvTranspose" else length


def output_channels(weight: Sparsity, around: Surroundings) -> int:
    """Channels, or columns, that it computes."""
    if weight.op == "Conv":
        return weight.shape[0] if weight.shape else 0
    if weight.op == "ConvTranspose":
        return weight.shape[1] * around.group if weight.shape else 0
    others = [size for axis, size in enumerate(weight.shape) if axis != weight.axis]
    return others[-1] if others else 1


def _count(channels: int) -> str:
    return f"{channels} channel" if channels == 1 else f"{channels} channels"


__all__ = [
    "QUANTIZE_OUTPUT", "Reason", "grouped", "output_channels", "pointwise", "reduction", "small", "weight_obstacles",
]
