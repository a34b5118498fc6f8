"""Is a weight 2:4? Read off an ONNX file, on the integer codes that an engine multiplies with.

Knows nothing of training: whoever wrote the file, each constant weight is followed through Q, DQ, Cast, Transpose
and Reshape to what the operator sees, and groups of four are taken along the axis that the operator sums over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from .load import load
from .naming import WEIGHTED
from .nonzero import Nonzero, nonzero
from .values import Array, all_nodes, input_at, integer, is_op


@dataclass(frozen=True)
class Sparsity:
    """What was found at one weighted node.

    Attributes:
        name: the node's name.
        op: `Conv`, `ConvTranspose`, `Gemm` or `MatMul`.
        shape: the weight as the operator sees it.
        axis: the axis of `shape` that the operator sums over.
        groups: number of groups of four along that axis.
        violations: how many of them have more than two codes that are not zero.
        two_four: none has, and the axis divides into whole groups.
        zeros: share of zero codes, 0 to 1.
        quantized: the codes are integers; else they are the float weights.
        reason: why it is, or is not, 2:4.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    axis: int
    groups: int
    violations: int
    two_four: bool
    zeros: float
    quantized: bool
    reason: str


def check_file(path: Path) -> list[Sparsity]:
    """`check` on an ONNX file.

    Raises:
        UserError: the file can't be used (see `load`).
    """
    return check(load(path))


def check(model: ir.Model) -> list[Sparsity]:
    """Judge every Conv, ConvTranspose, Gemm and MatMul that has a constant weight, in the graph's order."""
    nodes = [node for node in all_nodes(model) if is_op(node, *WEIGHTED)]
    return [found for node in nodes if (found := judge(node)) is not None]


def judge(node: ir.Node) -> Sparsity | None:
    """Judge one of these operators; None where neither input is constant."""
    for index in (1, 0):
        weight = nonzero(input_at(node, index))
        if weight is not None and weight.mask.ndim > 0:
            return _sparsity(node, weight, reduction_axis(node, index, weight.mask.ndim))
    return None


def reduction_axis(node: ir.Node, index: int, ndim: int) -> int:
    """The axis of input `index`, a weight of `ndim` axes, that the operator sums over (for a Conv: its channels)."""
    if node.op_type == "Conv":
        return 1
    if node.op_type == "ConvTranspose":
        return 0
    if node.op_type == "Gemm":
        return integer(node, "transB", 0) if index == 1 else 1 - integer(node, "transA", 0)
    return max(ndim - 2, 0) if index == 1 else ndim - 1


def _sparsity(node: ir.Node, weight: Nonzero, axis: int) -> Sparsity:
    mask = weight.mask
    parts = integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    groups, violations = count_groups(mask, axis, parts)
    length = mask.shape[axis] // parts
    two_four = violations == 0 and length % 4 == 0 and length > 0
    return Sparsity(
        name=str(node.name), op=node.op_type, shape=tuple(mask.shape), axis=axis, groups=groups, violations=violations,
        two_four=two_four, zeros=float(1 - np.count_nonzero(mask) / max(mask.size, 1)), quantized=weight.quantized,
        reason=_reason(length, groups, violations),
    )


def _reason(length: int, groups: int, violations: int) -> str:
    if length % 4 or not length:
        return f"its reduction axis is {length} long and doesn't divide into groups of 4"
    if violations:
        return f"{violations} of {groups} groups hold more than 2 weights that are not zero"
    return f"all {groups} groups hold at most 2 weights that are not zero"


def count_groups(mask: Array, axis: int, parts: int = 1) -> tuple[int, int]:
    """Groups of four along `axis`, and how many of them hold more than two True.

    Args:
        mask: bool, True where the code is not zero.
        axis: where the groups lie; an incomplete last group counts as one, filled up with False.
        parts: equal parts of the axis (a ConvTranspose's groups); no group of four crosses from one to the next.
    """
    if not mask.size:
        return 0, 0
    rows = np.moveaxis(mask, axis, -1)
    rows = rows.reshape(-1, rows.shape[-1] // parts)
    if rest := -rows.shape[1] % 4:
        rows = np.pad(rows, ((0, 0), (0, rest)))
    fours = np.ascontiguousarray(rows).view(np.uint32)
    # the four bytes are 0 or 1: the multiplication leaves their sum in the top byte
    return fours.size, int(np.count_nonzero((fours * np.uint32(0x01010101)) >> np.uint32(24) > 2))


__all__ = ["Sparsity", "check", "check_file", "count_groups", "judge", "reduction_axis"]
