"""What a recipe says about export. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ..common.schema import Document

_OLDEST_DYNAMO = 18


class ExportConfig(Document):
    """How the bundle is made.

    Attributes:
        exporter: `dynamo` (torch.export) or `torchscript`.
        opset: ONNX opset of the graph; `torchscript` writes all from 13 to 23, `dynamo` from 18 on.
        reference_samples: how many of the `eval_samples`, drawn at random, have their PyTorch answers recorded.
        eval_samples: validation samples, with targets, that go into the bundle to compute the metric anywhere; drawn
            at random, the same in every export, or all where there are no more.
        layer_samples: samples, the first of the reference, whose value at every quantizer is recorded, to compare
            layer by layer.
        weights: how the master graph stores quantized weights: `float`, in FP32 with QuantizeLinear and
            DequantizeLinear, or `int8`, as codes with DequantizeLinear alone, a quarter of the size. The answers are
            the same bit for bit.
        dynamic: what may differ from one inference to the next: `batch` always; `height` and `width`, the last two
            axes of inputs with four, where the network computes with the size it gets.
    """

    exporter: Literal["dynamo", "torchscript"] = "dynamo"
    opset: Annotated[int, Field(ge=13, le=23, strict=True)] = 21
    reference_samples: Annotated[int, Field(ge=1, strict=True)] = 256
    eval_samples: Annotated[int, Field(ge=1, strict=True)] = 1024
    layer_samples: Annotated[int, Field(ge=1, strict=True)] = 4
    weights: Literal["float", "int8"] = "float"
    dynamic: list[Literal["batch", "height", "width"]] = ["batch"]

    @field_validator("dynamic")
    @classmethod
    def _batch_is_dynamic(cls, value: list[str]) -> list[str]:
        if "batch" not in value or len(set(value)) != len(value):
            raise ValueError("the batch is always dynamic, nothing is named twice: [batch] or [batch, height, width]")
        return value

    @model_validator(mode="after")
    def _opset_of_the_exporter(self) -> ExportConfig:
        if self.exporter == "dynamo" and self.opset < _OLDEST_DYNAMO:
            raise ValueError(
                f"the dynamo exporter writes opset {_OLDEST_DYNAMO} or newer, not {self.opset}; "
                f"set opset to {_OLDEST_DYNAMO} or more, or exporter to torchscript"
            )
        return self


__all__ = ["ExportConfig"]
