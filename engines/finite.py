"""Inputs that hold NaN tell nothing about an engine: they are refused, with the sample that holds one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..common.errors import UserError
from .backend import Arrays


def refuse_nan(inputs: Arrays, where: str | None = None) -> None:
    """Look through all float inputs for NaN. Infinity passes: attention masks hold it.

    Args:
        inputs: by name, the first axis is the batch; integers and other dtypes are passed by.
        where: file they come from, for the error. Defaults to nothing.

    Raises:
        UserError: an input holds NaN; names the first sample that does, counted from 0.
    """
    for name, value in inputs.items():
        found = np.isnan(value) if _has_nan(value) else np.zeros(())
        if found.any():
            sample = int(np.argwhere(found)[0][0]) if value.ndim else 0
            raise UserError(f"The input {name!r} holds NaN in sample {sample}.", where=where,
                            fix="Look at how this sample is made, and leave it out or mend it.")


def _has_nan(value: np.ndarray[Any, Any]) -> bool:
    """Whether the dtype knows NaN; bfloat16 is none of NumPy's own."""
    return value.dtype.kind in "fc" or str(value.dtype) == "bfloat16"


__all__ = ["refuse_nan"]
