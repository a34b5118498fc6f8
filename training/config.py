"""What a recipe says about the model, the data and the training stages. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ..common.schema import Document

StageName = Literal["dense", "sparse", "qat"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class ModelConfig(Document):
    """Where the network comes from.

    Attributes:
        factory: `package.module:callable` that returns an nn.Module, or `timm:NAME`, `torchvision:NAME`,
            `transformers:NAME`.
        args: keyword arguments of the factory.
        weights: a state dict (`.safetensors`, or `.pt` read without unpickling code), or None for fresh weights.
        patches: `linear` turns a patch embedding that is a convolution (kernel = stride) into unfold and Linear, which
            can be 2:4; `conv` leaves it. Weights of either form fit both.
    """

    factory: str
    args: dict[str, Any] = {}
    weights: str | None = None
    patches: Literal["linear", "conv"] = "linear"


class DataConfig(Document):
    """Where the samples come from.

    Attributes:
        factory: `package.module:callable` that returns an object with `train`, `val` and `calibration` loaders.
        args: keyword arguments of the factory.
    """

    factory: str
    args: dict[str, Any] = {}


class OptimizerConfig(Document):
    """The optimizer and its schedule: linear warm-up, then cosine to zero, counted in steps.

    Attributes:
        name: `sgd` (Nesterov) or `adamw`.
        lr: peak learning rate.
        momentum: of `sgd`; `adamw` takes PyTorch's betas.
        weight_decay: applied to weights, not to biases and normalisation.
        warmup: share of the steps spent warming up.
        clip: largest gradient norm, or None for no clipping.
        label_smoothing: of the cross-entropy.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.1
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    warmup: Fraction = 0.05
    clip: Positive | None = None
    label_smoothing: Fraction = 0.0


class LayersConfig(Document):
    """Which layers are pruned, by shell-style patterns on module names, over the shape rule.

    Attributes:
        include: prune these even where the rule (outputs % 8, reduction axis % 16) says no; the axis must still divide
            by 4.
        exclude: never prune these.
    """

    include: list[str] = []
    exclude: list[str] = []


class DistillConfig(Document):
    """Learning from an earlier stage's network as well as from the labels.

    Attributes:
        teacher: the stage whose weights teach.
        weight: share of the teacher in the loss, 0 to 1; the labels have the rest.
        temperature: softens both answers; the term is scaled by its square.
    """

    teacher: StageName
    weight: Fraction = 0.5
    temperature: Positive = 2.0


class TrainConfig(Document):
    """One training stage.

    Attributes:
        stage: `dense`, `sparse` (2:4) or `qat` (quantization-aware); each at most once, in this order.
        method: `supervised` for dense, `asp` for sparse, `qat` for qat; chosen by the stage when left out.
        epochs: passes over the training set. Left out: sparse repeats the dense stage's, qat takes a tenth, at least 1.
        optimizer: left out: sparse repeats the dense stage's hyper-parameters with a fresh optimizer state (the rule
            of NVIDIA's 2:4 workflow); qat takes them with a hundredth of the learning rate.
        layers: which layers are pruned (`sparse` only).
        distill: None for labels alone.
    """

    stage: StageName
    method: Literal["supervised", "asp", "qat"] | None = None
    epochs: Annotated[int, Field(ge=0, strict=True)] | None = None
    optimizer: OptimizerConfig | None = None
    layers: LayersConfig = LayersConfig()
    distill: DistillConfig | None = None


__all__ = [
    "DataConfig", "DistillConfig", "LayersConfig", "ModelConfig", "OptimizerConfig", "StageName", "TrainConfig",
]
