"""What a recipe says about the model, the data, an optimizer, the layers and the phases. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ..common.schema import Document

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Kept = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Kept, Kept]


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
        momentum: of `sgd`.
        betas: of `adamw`: what its two moving averages keep in a step. Defaults to PyTorch's.
        weight_decay: applied to weights, not to biases and normalisation.
        warmup: share of the steps spent warming up.
        clip: largest gradient norm, or None for no clipping.
        label_smoothing: of the cross-entropy.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.1
    momentum: Fraction = 0.9
    betas: Betas = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    warmup: Fraction = 0.05
    clip: Positive | None = None
    label_smoothing: Fraction = 0.0


class LayersConfig(Document):
    """Which layers are pruned, by shell-style patterns on module names, over the shape rule.

    Attributes:
        include: prune these even where the rule (outputs % 8, reduction axis % 16) says no; the axis must still divide
            by the pattern's group, 4 for 2:4.
        exclude: never prune these.
        max_drop: leave a layer dense that, pruned alone and not retrained, loses more of the data's metric than this, 0
            to 1, on the calibration loader. None measures nothing.
    """

    include: list[str] = []
    exclude: list[str] = []
    max_drop: Fraction | None = None


class PhaseConfig(Document):
    """One of several phases of a stage, each with a fresh optimizer state and a schedule of its own.

    Attributes:
        epochs: passes over the phase's training set.
        optimizer: of this phase.
        data: what it trains and is measured on; None is the recipe's own data, and so must the last phase's be.
    """

    epochs: Annotated[int, Field(ge=0, strict=True)]
    optimizer: OptimizerConfig = OptimizerConfig()
    data: DataConfig | None = None


__all__ = [
    "Betas", "DataConfig", "Fraction", "LayersConfig", "ModelConfig", "NotNegative", "OptimizerConfig", "PhaseConfig",
    "Positive",
]
