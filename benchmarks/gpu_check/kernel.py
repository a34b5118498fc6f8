"""A kernel of Triton's: twice its input."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

VERSION = triton.__version__


@triton.jit
def _double(source, target, count, block: tl.constexpr):
    at = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(target + at, tl.load(source + at, mask=at < count) * 2, mask=at < count)


def double(values: torch.Tensor) -> torch.Tensor:
    """Twice `values`, a float tensor on the GPU."""
    target = torch.empty_like(values)
    _double[(triton.cdiv(values.numel(), 256),)](values, target, values.numel(), block=256)
    return target


__all__ = ["VERSION", "double"]
