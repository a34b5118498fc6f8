"""What a recipe says about quantizers and their calibration. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ..common.schema import Document

Policy = Literal["tensorrt", "tensorrt-sparse", "weights-and-inputs", "onnxruntime"]


class CalibrateConfig(Document):
    """Where quantizers go, and how the activations' ranges are chosen.

    Weights always take their largest magnitude per output channel.

    Attributes:
        placement: `tensorrt`, `tensorrt-sparse`, `weights-and-inputs`, `onnxruntime`, or a list of these and of
            shell-style patterns on quantizers' names, applied in order; `!` before a pattern takes away.
        method: `max`, `percentile`, `entropy` (least KL divergence) or `mse` (least squared error); `given` where the
            network must come with quantizers that are calibrated. One that comes with them always keeps them.
        batches: batches of the calibration loader that are looked at, or None for all.
        percentile: share of the values kept by `percentile`, in percent.
        bits: of weights and activations. 4 is fake quantization, to measure accuracy with: codes from -7 to 7, no
            export and no engine; the placement is `weights-and-inputs` where none is said.
    """

    placement: Policy | list[str] = "tensorrt"
    method: Literal["max", "percentile", "entropy", "mse", "given"] = "entropy"
    batches: Annotated[int, Field(ge=1, strict=True)] | None = None
    percentile: Annotated[float, Field(gt=0, le=100)] = 99.99
    bits: Literal[8, 4] = 8

    @field_validator("placement")
    @classmethod
    def _says_something(cls, value: Policy | list[str]) -> Policy | list[str]:
        if isinstance(value, list) and not all(entry.removeprefix("!") for entry in value or [""]):
            raise ValueError("a list needs at least one pattern, none of them empty, such as [tensorrt, '!head.*']")
        return value


__all__ = ["CalibrateConfig", "Policy"]
