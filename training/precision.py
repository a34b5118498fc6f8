"""Automatic mixed precision, through Accelerate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState

from ..common.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]
_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def device() -> torch.device:
    """Where networks are trained in this process."""
    chosen: torch.device = PartialState().device
    return chosen


def check_precision(precision: Precision) -> None:
    """Refuse what this machine can't train in.

    Raises:
        UserError: FP16, whose loss must be scaled, without a GPU.
    """
    if precision == "fp16" and device().type != "cuda":
        raise UserError(
            f"FP16 needs a GPU, and this machine trains on its {device().type}.", where="training: precision: fp16",
            fix="Use bf16, which runs everywhere, or fp32.",
        )


def make_accelerator(precision: Precision) -> Accelerator:
    """An Accelerator of this precision; the process may have had one of another before.

    Raises:
        UserError: as `check_precision`.
    """
    check_precision(precision)
    AcceleratorState._reset_state(reset_partial_state=False)
    return Accelerator(mixed_precision=_MIXED[precision])


def scaler_state(accelerator: Accelerator) -> dict[str, torch.Tensor]:
    """How FP16's loss is scaled just now, for a checkpoint; nothing in other precisions."""
    scaler = accelerator.scaler
    if scaler is None:
        return {}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in scaler.state_dict().items()}


def load_scaler_state(accelerator: Accelerator, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what `scaler_state` gave."""
    if accelerator.scaler is not None and tensors:
        was = accelerator.scaler.state_dict()
        accelerator.scaler.load_state_dict({name: type(was[name])(tensors[name].item()) for name in was})


__all__ = ["Precision", "check_precision", "device", "load_scaler_state", "make_accelerator", "scaler_state"]
