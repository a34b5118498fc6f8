"""Is a weight 2:4? Read off an ONNX file, on the integer codes that an engine multiplies with.

Knows nothing of training: whoever wrote the file, each constant weight is followed through Q, DQ, Cast, Transpose
and Reshape to what the operator sees, and groups of four are taken along the axis that the operator sums over. The
memory it takes beyond the file is that of a small piece of a weight, and 500 million weights take seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from .codes import Codes
from .groups import Groups, count, count_groups
from .load import load
from .naming import WEIGHTED
from .nonzero import follow
from .values import FAULTS, all_nodes, input_at, integer, is_op, release


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
    """Judge one of these operators; None where neither input is constant.

    A weight that lies in a file of its own is let go afterwards: no more than one is in memory at a time.
    """
    for index in (1, 0):
        value = input_at(node, index)
        try:
            codes = follow(value)
            if codes is not None and codes.source.ndim > 0:
                return _sparsity(node, codes, reduction_axis(node, index, codes.source.ndim))
        except FAULTS as error:
            return _unknown(node, f"its weight can't be judged: {error}")
        finally:
            codes = None
            release(value)
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


def _sparsity(node: ir.Node, codes: Codes, axis: int) -> Sparsity:
    shape, parts = codes.source.shape, integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    if axis >= len(shape) or parts < 1 or shape[axis] % parts:
        return _unknown(node, f"its weight of shape {list(shape)} can't be that of a {node.op_type}", shape)
    found, length = count(codes, axis, parts), shape[axis] // parts
    two_four = found.violations == 0 and length % 4 == 0 and length > 0 and not found.strange
    return Sparsity(
        name=str(node.name), op=node.op_type, shape=tuple(shape), axis=axis, groups=found.groups,
        violations=found.violations, two_four=two_four, zeros=1 - found.nonzero / max(math.prod(shape), 1),
        quantized=codes.quantized, reason=_reason(length, found),
    )


def _unknown(node: ir.Node, reason: str, shape: tuple[int, ...] = ()) -> Sparsity:
    return Sparsity(name=str(node.name), op=node.op_type, shape=shape, axis=0, groups=0, violations=0, two_four=False,
                    zeros=0.0, quantized=False, reason=reason)


def _reason(length: int, found: Groups) -> str:
    if found.strange:
        return f"{found.strange} of its weights are NaN or infinite"
    if length % 4 or not length:
        return f"its reduction axis is {length} long and doesn't divide into groups of 4"
    if found.violations:
        return f"{found.violations} of {found.groups} groups hold more than 2 weights that are not zero"
    return f"all {found.groups} groups hold at most 2 weights that are not zero"


__all__ = ["Sparsity", "check", "check_file", "count_groups", "judge", "reduction_axis"]
