"""What range a quantizer gets that has none: a tensor that was always zero, or never computed.

A scale of zero divides by zero, and engines refuse it or answer NaN. Any positive range represents zero exactly.
"""

from __future__ import annotations

from ..common import console

FLOOR = 2.0**-24  # ModelOpt takes a range up to this one for zero
SAFE = 1.0


def safe_range(name: str, amax: float, peak: float) -> float:
    """The range to use.

    Args:
        name: the quantizer's name, for the warning.
        amax: what the calibrator chose.
        peak: the largest magnitude seen, 0 where the tensor was always zero or never computed.

    Returns:
        `amax` where it is usable, else `peak`; 1.0, with a warning, where the tensor is dead.
    """
    if amax > FLOOR:
        return amax
    if peak > FLOOR:
        return peak
    console.warn(f"{name} only saw zeros, or nothing, in calibration: its range is set to {SAFE}.")
    return SAFE


__all__ = ["FLOOR", "SAFE", "safe_range"]
