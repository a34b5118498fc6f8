"""What a recipe says about the model, the data and the training stages. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ..common.schema import Document

StageName = Literal["dense", "sparse", "qat"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
_LARGEST_GROUP = 64
_MINUTE = 60  # YAML reads an unquoted 2:4 as 2 minutes and 4 seconds


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
            by the pattern's group, 4 for 2:4.
        exclude: never prune these.
        max_drop: leave a layer dense that, pruned alone and not retrained, costs more accuracy than this, 0 to 1, on
            the calibration loader. None measures nothing.
    """

    include: list[str] = []
    exclude: list[str] = []
    max_drop: Fraction | None = None


class SrSteConfig(Document):
    """Of `method: sr_ste`.

    Attributes:
        decay: how strongly weights that are pruned just now are drawn to zero, added to their gradient times the
            weight.

    Source: Zhou et al., "Learning N:M fine-grained structured sparse neural networks from scratch", arXiv 2102.04010.
    """

    decay: Annotated[float, Field(ge=0)] = 2e-4


class GradualConfig(Document):
    """Of `method: gradual`: the share that is pruned grows along a cubic curve, fast at first.

    Attributes:
        begin: when the first weights go, as a share of the stage's steps.
        end: when the pattern is whole; after it the masks stay. Less than 1.
        every: steps between two masks.

    Source: Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878.
    """

    begin: Fraction = 0.0
    end: Fraction = 0.7
    every: Annotated[int, Field(ge=1, strict=True)] = 10

    @model_validator(mode="after")
    def _in_order(self) -> GradualConfig:
        if not self.begin < self.end < 1:
            raise ValueError("begin must be less than end, and end less than 1: the last steps train with whole masks")
        return self


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


class GpusqConfig(Document):
    """Of `method: gpusq`, what is learned from the teacher: in sparse the dense stage, in qat the sparse stage.

    Attributes:
        hard: weight of the cross-entropy with the labels.
        soft: weight of the teacher's answers (KL divergence).
        feature: weight of the late features (mean squared difference).
        temperature: softens both answers; the term is scaled by its square.
        critical: shell-style patterns on module names, the layers whose outputs are the features. Empty: the last
            third of the network's blocks, at most four; of a Swin the last block of the last stage but one, and the
            blocks of the last stage.
        gate: compare features only of samples for which student and teacher predict the same class.
        labels: read the labels; without them, the teacher's prediction stands in for them.
        factors: of the layers' features in qat (`qat` only), from the feature losses of the sparse stage: `inverse`,
            `linear`, or `none` for 1 each.

    Source: arXiv 2305.10727.
    """

    hard: NotNegative = 1.0
    soft: NotNegative = 10.0
    feature: NotNegative = 5.0
    temperature: Positive = 1.0
    critical: list[str] = []
    gate: bool = True
    labels: bool = True
    factors: Literal["inverse", "linear", "none"] = "inverse"

    @model_validator(mode="after")
    def _teaches(self) -> GpusqConfig:
        if not (self.hard or self.soft or self.feature):
            raise ValueError("hard, soft and feature are all 0: there is nothing to learn from")
        return self


class GroupKnowledgeConfig(Document):
    """Of `method: group_knowledge`: which subnets are trained beside the network, and what teaches them.

    GKT-style (reconstructed): docs/training.md says what is public of it.

    Attributes:
        groups: subnets in a chain from large to small, the network itself not counted.
        loops: chains for each batch, each from the whole network.
        rho: a stage loses j more blocks with a probability proportional to rho^j; 1 is uniform, near 0 none is lost.
        nested: a subnet leaves out what the one before it in the chain did; without, each is drawn from the network.
        strict: draw a subnet again until it is smaller than the one it is drawn from.
        teacher: of a group: the `neighbour` above it, or the `main` network.
        aggregate: what a group knows of its subnets over the loops: `ema`, a moving average of their logits; `last`,
            those of the latest; `none`, those of the first.
        decay: of that average, the share of what is known already.
        weight: of each subnet's KL divergence; the labels' loss of the network has 1.
        temperature: softens both answers; the term is scaled by its square.
        recalibrate: training samples, at most one pass, on which the statistics of batch norm are taken anew for the
            whole network before it is measured and saved; 0 leaves those of all subnets mixed.
        survival: None, or the probability with which the last block survives: stochastic depth in place of groups.

    Source: arXiv 2308.13772.
    """

    groups: Annotated[int, Field(ge=1, strict=True)] = 2
    loops: Annotated[int, Field(ge=1, strict=True)] = 2
    rho: Annotated[float, Field(gt=0, le=1)] = 0.5
    nested: bool = True
    strict: bool = False
    teacher: Literal["neighbour", "main"] = "neighbour"
    aggregate: Literal["ema", "last", "none"] = "ema"
    decay: Fraction = 0.5
    weight: Positive = 1.0
    temperature: Positive = 1.0
    recalibrate: Annotated[int, Field(ge=0, strict=True)] = 2000
    survival: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> GroupKnowledgeConfig:
        fields = type(self).model_fields
        said = [name for name in fields if name not in ("recalibrate", "survival")
                and getattr(self, name) != fields[name].default]
        if self.survival is not None and said:
            raise ValueError(f"survival is stochastic depth, which has no {said[0]}; leave one of them out")
        return self


class TrainConfig(Document):
    """One training stage.

    Attributes:
        stage: `dense`, `sparse` (2:4) or `qat` (quantization-aware); each at most once, in this order.
        method: chosen by the stage when left out. dense: `supervised` or `group_knowledge` (learning with
            its own subnets, for residual networks). sparse: `asp` (prune once, masks fixed),
            `sr_ste` (masks chosen anew each step, all weights learn), `gradual` (more zeros step by step) or `gpusq`
            (as asp, learning from the dense stage). qat: `qat` or `gpusq` (learning from the sparse stage).
        epochs: passes over the training set. Left out: sparse repeats the dense stage's, qat takes a tenth, at least 1.
        optimizer: left out: sparse repeats the dense stage's hyper-parameters with a fresh optimizer state (the rule
            of NVIDIA's 2:4 workflow); qat takes them with a hundredth of the learning rate.
        phases: instead of epochs and optimizer, for networks that are trained in several phases. Left out with epochs
            and optimizer: sparse repeats all of the dense stage's.
        precision: of the arithmetic in training; weights, and what is measured and saved, stay FP32. `bf16` and `fp16`
            are automatic mixed precision; `fp16` needs a GPU.
        average: decay of an exponential moving average of the weights, such as 0.999, or None. It starts faster, at
            (1 + step) / (10 + step). The average is what is measured, saved and exported; the optimizer goes on from
            the weights themselves.
        layers: which layers are pruned (`sparse` only).
        pattern: which weights of them (`sparse` only): `2:4`; for comparison any `N:M`, or `unstructured`.
        sparsity: share of zeros of `unstructured`, 0.5 where it is left out.
        scores: what decides in a group (`sparse` only): `magnitude`, or `activations`, the magnitude times the norm of
            what the weight is multiplied with over the calibration loader, for use without retraining.
        permute: search an order of channels before pruning (`sparse` only) in which 2:4 keeps more; the network's
            function stays.
        sr_ste: of that method.
        gradual: of that method.
        pairs: prune pairs of weights, 2 of 4 (`sparse` only), as INT4 kernels want it. Left out: where `calibrate.bits`
            is 4 and the pattern 2:4.
        gpusq: of that method.
        group_knowledge: of that method (`dense` only).
        distill: None for labels alone.
    """

    stage: StageName
    method: Literal["supervised", "asp", "sr_ste", "gradual", "gpusq", "group_knowledge", "qat"] | None = None
    epochs: Annotated[int, Field(ge=0, strict=True)] | None = None
    optimizer: OptimizerConfig | None = None
    phases: Annotated[list[PhaseConfig], Field(min_length=1)] | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    layers: LayersConfig = LayersConfig()
    pattern: str = "2:4"
    sparsity: Annotated[float, Field(gt=0, lt=1)] | None = None
    scores: Literal["magnitude", "activations"] = "magnitude"
    permute: bool = False
    sr_ste: SrSteConfig = SrSteConfig()
    gradual: GradualConfig = GradualConfig()
    pairs: bool | None = None
    gpusq: GpusqConfig = GpusqConfig()
    group_knowledge: GroupKnowledgeConfig = GroupKnowledgeConfig()
    distill: DistillConfig | None = None

    @field_validator("pattern", mode="before")
    @classmethod
    def _possible(cls, pattern: Any) -> Any:
        if type(pattern) is int and pattern >= _MINUTE:
            pattern = ":".join(map(str, divmod(pattern, _MINUTE)))
        if isinstance(pattern, str):
            pattern_numbers(pattern)
        return pattern

    @property
    def teacher(self) -> StageName | None:
        """The stage that teaches, if one does."""
        if self.method == "gpusq":
            return "dense" if self.stage == "sparse" else "sparse"
        return self.distill.teacher if self.distill else None

    @property
    def reads_labels(self) -> bool:
        """Whether training looks at the labels."""
        return self.method != "gpusq" or self.gpusq.labels

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases; 0 where nothing is said yet."""
        return sum(phase.epochs for phase in self.phases) if self.phases else self.epochs or 0


def pattern_numbers(pattern: str) -> tuple[int, int] | None:
    """N and M of `N:M`: N of every M weights stay; None for `unstructured`.

    Raises:
        ValueError: it is neither, or keeps none or all.
    """
    if pattern == "unstructured":
        return None
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", pattern)
    kept, group = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < kept < group or group > _LARGEST_GROUP:
        raise ValueError("a pattern is `2:4`, `unstructured`, or `N:M` (N of every M weights stay, 0 < N < M, M at "
                         f"most {_LARGEST_GROUP})")
    return kept, group


__all__ = [
    "DataConfig", "DistillConfig", "GpusqConfig", "GradualConfig", "GroupKnowledgeConfig", "LayersConfig",
    "ModelConfig", "OptimizerConfig", "PhaseConfig", "SrSteConfig", "StageName", "TrainConfig", "pattern_numbers",
]
