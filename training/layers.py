"""Layers that quantizers can be attached to."""

from __future__ import annotations

import torch
from torch import nn


class Add(nn.Module):
    """`a + b` as a module, so that both summands can be quantized and an engine can add integers.

    Attributes:
        input_quantizer_a: applied to `a`; does nothing until quantizers are inserted.
        input_quantizer_b: applied to `b`; does nothing until quantizers are inserted.
    """

    input_quantizer_a: nn.Module
    input_quantizer_b: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.input_quantizer_a, self.input_quantizer_b = nn.Identity(), nn.Identity()

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The sum; the shapes broadcast."""
        total: torch.Tensor = self.input_quantizer_a(a) + self.input_quantizer_b(b)
        return total


__all__ = ["Add"]
