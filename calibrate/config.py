"""What a recipe says about calibration. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..common.schema import Document


class CalibrateConfig(Document):
    """How the activations' ranges are chosen; weights always take their largest magnitude per output channel.

    Attributes:
        method: `max`, `percentile`, `entropy` (least KL divergence) or `mse` (least squared error).
        batches: batches of the calibration loader that are looked at, or None for all.
        percentile: share of the values kept by `percentile`, in percent.
    """

    method: Literal["max", "percentile", "entropy", "mse"] = "entropy"
    batches: Annotated[int, Field(ge=1, strict=True)] | None = None
    percentile: Annotated[float, Field(gt=0, le=100)] = 99.99


__all__ = ["CalibrateConfig"]
