"""Knowing a fake quantizer of PyTorch by what it has, whichever package made it. Imports no torch."""

from __future__ import annotations

_TRAITS = ("_disabled", "_num_bits", "_if_quant", "_narrow_range", "amax")
WEIGHT = "weight_quantizer"


def is_quantizer(module: object) -> bool:
    """A `TensorQuantizer` of ModelOpt or of pytorch-quantization, known by its attributes."""
    return all(hasattr(module, name) for name in _TRAITS)


def is_enabled(quantizer: object) -> bool:
    """It changes what passes through it."""
    return not getattr(quantizer, "_disabled") and bool(getattr(quantizer, "_if_quant"))  # noqa: B009 - any class


__all__ = ["WEIGHT", "is_enabled", "is_quantizer"]
