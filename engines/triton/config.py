"""What may be chosen when an engine is handed over to Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ...common.schema import Document

Count = Annotated[int, Field(ge=1, strict=True)]


class PackageConfig(Document):
    """The options of `twofour package --triton`.

    Attributes:
        name: the model's name at the server, of letters, digits, `_`, `-` and `.`. Defaults to the bundle's name with
            everything else replaced by `_`.
        backend: which engine of a bundle: `auto` is the TensorRT engine that was built from it, or ONNX Runtime's
            where there is none. An engine folder is served by its own backend.
        max_batch: largest batch that the server forms or takes. Defaults to the plan's largest, or 64.
        queue_delay_us: microseconds that a request waits for others to share its batch.
        instances: copies of the engine that run side by side, on each GPU or on the CPU.
        cuda_graphs: replay CUDA graphs, captured when the plan is loaded; only for TensorRT and fixed shapes.
        warmup: run zeros once before the first request is let in.
        bundle: the engine's bundle, if it is not where the engine says.
    """

    name: str | None = None
    backend: Literal["auto", "tensorrt", "onnxruntime"] = "auto"
    max_batch: Count | None = None
    queue_delay_us: Annotated[int, Field(ge=0, strict=True)] = 100
    instances: Count = 1
    cuda_graphs: bool = True
    warmup: bool = True
    bundle: Path | None = None


__all__ = ["PackageConfig"]
