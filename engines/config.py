"""What a recipe says about engines, their profile and their validation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from ..common.metric import Metric
from ..common.schema import Document

Count = Annotated[int, Field(ge=1, strict=True)]
Rest = Literal["fp16", "bf16", "fp32"]
Scales = Literal["auto", "rest", "fp32"]
Arm = Literal["dense-fp16", "dense-int8", "sparse-int8-flag-off", "sparse-int8"]
HardwareCompatibility = Literal["none", "ampere_plus", "same_compute_capability"]


class OnnxRuntimeConfig(Document):
    """An engine for ONNX Runtime on the CPU.

    Attributes:
        backend: what runs it.
        threads: threads of one inference, or None for every usable core.
        optional: skip it, and say so, where this machine lacks what it needs.
    """

    backend: Literal["onnxruntime"] = "onnxruntime"
    threads: Count | None = None
    optional: bool = False


class ShapeRange(Document):
    """The shapes that an input may have: the smallest, the one that the builder times its tactics at, the largest."""

    min: list[Count]
    opt: list[Count]
    max: list[Count]

    @model_validator(mode="after")
    def _ordered(self) -> ShapeRange:
        if not len(self.min) == len(self.opt) == len(self.max):
            raise ValueError("min, opt and max must have as many dimensions as each other")
        if any(not low <= middle <= high for low, middle, high in zip(self.min, self.opt, self.max, strict=True)):
            raise ValueError("every dimension must satisfy min <= opt <= max")
        return self


class TensorRTConfig(Document):
    """A TensorRT engine.

    Attributes:
        backend: what runs it.
        optional: skip it, and say so, where this machine lacks what it needs.
        rest: dtype of everything that is not quantized.
        scales: dtype of the scales of Q and DQ: that of `rest`, or FP32 between a DQ and the next Q; `auto` is FP32 for
            BF16, whose 8 bits are too few for a scale, and else that of `rest`.
        sparse: let the builder choose kernels for 2:4 weights; it keeps the dense ones where they are faster.
        min_batch: smallest batch that the engine takes.
        opt_batch: the batch that tactics are timed at; give the one that will be deployed.
        max_batch: largest batch that the engine takes.
        shapes: whole shapes, batch included, by input name, for inputs with other dynamic dimensions; they replace the
            batches above for that input.
        workspace_mib: most memory that a tactic may use as scratch, in MiB, or None for all that the GPU has.
        optimization_level: 0 to 5; below 3 the builder tries too little for a sparse kernel to be found.
        timing_cache: `auto` is a file in the user's cache folder, one per release and GPU; `off` is none; else a path.
        hardware_compatibility: which other GPUs the plan must run on.
        version_compatible: let later releases of TensorRT run the plan.
        refit: let the weights be exchanged later.
        tf32: let what stays FP32 use TF32 tensor cores.
        dla_core: build for this DLA core, or None for the GPU.
    """

    backend: Literal["tensorrt"] = "tensorrt"
    optional: bool = False
    rest: Rest = "fp16"
    scales: Scales = "auto"
    sparse: bool = True
    min_batch: Count = 1
    opt_batch: Count = 8
    max_batch: Count = 64
    shapes: dict[str, ShapeRange] = {}
    workspace_mib: Count | None = None
    optimization_level: Annotated[int, Field(ge=0, le=5, strict=True)] = 3
    timing_cache: str = "auto"
    hardware_compatibility: HardwareCompatibility = "none"
    version_compatible: bool = False
    refit: bool = False
    tf32: bool = True
    dla_core: Annotated[int, Field(ge=0, strict=True)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> TensorRTConfig:
        if not self.min_batch <= self.opt_batch <= self.max_batch:
            raise ValueError(
                f"the batches must satisfy min_batch <= opt_batch <= max_batch, not {self.min_batch}, "
                f"{self.opt_batch}, {self.max_batch}"
            )
        return self


def _backend(value: Any) -> str:
    found = value.get("backend", "onnxruntime") if isinstance(value, dict) else getattr(value, "backend", "")
    return str(found)


EngineConfig = Annotated[
    Annotated[OnnxRuntimeConfig, Tag("onnxruntime")] | Annotated[TensorRTConfig, Tag("tensorrt")],
    Discriminator(_backend),
]
CONFIGS: dict[str, type[OnnxRuntimeConfig] | type[TensorRTConfig]] = {
    "onnxruntime": OnnxRuntimeConfig, "tensorrt": TensorRTConfig,
}


class GpuProfileConfig(Document):
    """How a TensorRT engine is timed; other backends don't read it.

    Attributes:
        cuda_graph: launch by CUDA graph, by plain enqueue, or measure both.
        transfers: also measure with inputs and outputs copied between host and device in each inference.
        spin: wait for the GPU by spinning, which costs a core and takes less time, instead of blocking.
        streams: inferences in flight at once, each on a stream of its own.
        rebuilds: how often each arm is built, so that the difference between builds of one network is known.
        arms: what is compared; the last is the engine itself.
    """

    cuda_graph: Literal["both", "on", "off"] = "both"
    transfers: bool = True
    spin: bool = True
    streams: Count = 1
    rebuilds: Count = 3
    arms: Annotated[list[Arm], Field(min_length=1)] = [
        "dense-fp16", "dense-int8", "sparse-int8-flag-off", "sparse-int8",
    ]


class ProfileConfig(Document):
    """How an engine is timed.

    Attributes:
        batch: batch sizes, each timed alone.
        seconds: least time spent on each batch size and arm, after the warm-up.
        runs: least number of inferences of each batch size and arm.
        warmup: seconds of inferences that are not counted.
        max_latency_ms: gate on the median latency of the engine's own plan or file at the first batch size, or None for
            no gate.
        min_speedup: gate on the speed-up over the first baseline (FP32; for TensorRT the first of `gpu.arms`) at the
            first batch size, met where the lower end of its 95 % interval reaches it; None for no gate.
        gpu: what only TensorRT engines are asked.
    """

    batch: Annotated[list[Count], Field(min_length=1)] = [1, 8]
    seconds: Annotated[float, Field(gt=0)] = 3.0
    runs: Annotated[int, Field(ge=10, strict=True)] = 50
    warmup: Annotated[float, Field(ge=0)] = 0.2
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    min_speedup: Annotated[float, Field(gt=0)] | None = None
    gpu: GpuProfileConfig = GpuProfileConfig()


class ValidateConfig(Document):
    """What an engine's answers must satisfy; None is no gate.

    Attributes:
        metric: the task metric; it must be the data's.
        max_drop: largest loss of the metric against the dense model, on `eval.npz`: of `accuracy` (0.01 is one point)
            and `ssim` the dense model's minus the engine's; of `feature_distance`, of which less is better, the rise as
            a share of the dense model's.
        min_agreement: least share of equal predictions with PyTorch's fake-quant model on `reference.npz`; of pictures
            the least mean SSIM with that model's.
        min_snr_db: least signal-to-noise ratio against PyTorch's outputs on `reference.npz`, in dB.
    """

    metric: Metric = "accuracy"
    max_drop: Annotated[float, Field(ge=0)] | None = 0.01
    min_agreement: Annotated[float, Field(ge=0, le=1)] | None = 0.995
    min_snr_db: float | None = None


__all__ = [
    "CONFIGS", "Arm", "EngineConfig", "GpuProfileConfig", "HardwareCompatibility", "OnnxRuntimeConfig",
    "ProfileConfig", "Rest", "Scales", "ShapeRange", "TensorRTConfig", "ValidateConfig",
]
