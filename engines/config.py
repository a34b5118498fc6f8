"""What a recipe says about engines, their profile and their validation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..common.schema import Document

Backend = Literal["onnxruntime"]


class EngineConfig(Document):
    """One engine to build from the bundle.

    Attributes:
        backend: what runs it.
        threads: threads of one inference, or None for every usable core.
        optional: skip it, and say so, where this machine lacks what it needs.
    """

    backend: Backend = "onnxruntime"
    threads: Annotated[int, Field(ge=1, strict=True)] | None = None
    optional: bool = False


class ProfileConfig(Document):
    """How an engine is timed.

    Attributes:
        batch: batch sizes, each timed alone.
        seconds: least time spent on each batch size and arm, after the warm-up.
        runs: least number of inferences of each batch size and arm.
        warmup: seconds of inferences that are not counted.
        max_latency_ms: gate on the engine's median latency at the first batch size, or None for no gate.
        min_speedup: gate on the speed-up over FP32 at the first batch size, met where the lower end of its 95 %
            interval reaches it; None for no gate.
    """

    batch: Annotated[list[Annotated[int, Field(ge=1, strict=True)]], Field(min_length=1)] = [1, 8]
    seconds: Annotated[float, Field(gt=0)] = 3.0
    runs: Annotated[int, Field(ge=10, strict=True)] = 50
    warmup: Annotated[float, Field(ge=0)] = 0.2
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    min_speedup: Annotated[float, Field(gt=0)] | None = None


class ValidateConfig(Document):
    """What an engine's answers must satisfy; None is no gate.

    Attributes:
        metric: the task metric.
        max_drop: largest loss of the metric against the dense model, on `eval.npz` (0.01 is one point).
        min_agreement: least share of equal predictions with PyTorch's fake-quant model on `reference.npz`.
        min_snr_db: least signal-to-noise ratio against PyTorch's outputs on `reference.npz`, in dB.
    """

    metric: Literal["accuracy"] = "accuracy"
    max_drop: Annotated[float, Field(ge=0)] | None = 0.01
    min_agreement: Annotated[float, Field(ge=0, le=1)] | None = 0.995
    min_snr_db: float | None = None


__all__ = ["Backend", "EngineConfig", "ProfileConfig", "ValidateConfig"]
