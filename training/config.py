"""What a recipe says about the model, the data and the training stages. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ..common.schema import Document

Method = Literal[
    "supervised", "asp", "sr_ste", "gradual", "gpusq", "qat", "adversarial_amendment", "gan", "gan_compression"
]
StageName = Literal["dense", "sparse", "qat"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Kept = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Kept, Kept]
BY_SHARE = ("unstructured", "filters")  # patterns that need a sparsity
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
        initial: share of a layer's weights that goes at once then; no more than the pattern prunes.
        begin: when the first weights go, as a share of the stage's steps.
        end: when the pattern is whole; after it the masks stay. Less than 1.
        every: steps between two masks.

    Source: Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878.
    """

    initial: Fraction = 0.0
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


def _quotient(value: Any) -> Any:
    """`1/255` as YAML reads it, a string, as a number; anything else as it is."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+)\s*", value) if isinstance(value, str) else None
    return float(found[1]) / float(found[2]) if found and float(found[2]) else value


Share = Annotated[float, BeforeValidator(_quotient), Field(gt=0, le=1)]


class AdversarialAmendmentConfig(Document):
    """Of `method: adversarial_amendment`, AdvAmd-style (reconstructed).

    With `gamma: 0` and `mediate_rule: none` it is AdvProp; with `auxiliary: false` too, mixed adversarial training.
    Whether it starts from fresh or from trained weights is said by `model.weights`.

    Attributes:
        auxiliary: a second batch norm in the place of each one, for amended samples, in training only. False: one batch
            norm sees a batch of benign and amended samples.
        attack_eps: most that the attack changes a value, as a share of the inputs' range (`bounds` of the data): a
            number, or a quotient such as 1/255. At most 1.
        attack_steps: steps of the attack.
        attack_step_size: of each step, as a share of the range.
        attack_random_start: the attack starts from a random point within eps instead of the sample.
        attack_target: `none` raises the label's loss; `random` lowers that of a wrong class drawn for each sample.
        mediate_rule: where the amended sample lies between the benign one (0) and the adversarial one (1), drawn for
            each: `uniform` anywhere; `grid` on one of `mediate_points` evenly spaced points; `beta` by Beta(alpha,
            alpha); `iterates` on what one of the attack's earlier steps gave; `none` at 1.
        mediate_points: of `grid`.
        mediate_alpha: of `beta`.
        use_endpoint: train on the adversarial samples as well as on the mediate ones.
        vulnerability: what the attack did to a sample: `probability` that its label lost, `loss` that it gained over
            the batch's mean, or whether its prediction `flipped`. In a mask, the mean over the pixels.
        gamma: a sample counts (1 + vulnerability) ** gamma, over the batch's mean. Above 0 vulnerable samples count
            more, below 0 less; 0: all alike.
        eta: weight of the amendment's loss; the benign samples' has 1.

    Source: the components are of arXiv 2305.10766; rules, formulas and defaults are our reconstruction.
    """

    auxiliary: bool = True
    attack_eps: Share = 1 / 255
    attack_steps: Annotated[int, Field(ge=1, strict=True)] = 1
    attack_step_size: Share = 1 / 255
    attack_random_start: bool = True
    attack_target: Literal["none", "random"] = "none"
    mediate_rule: Literal["uniform", "grid", "beta", "iterates", "none"] = "uniform"
    mediate_points: Annotated[int, Field(ge=1, strict=True)] = 3
    mediate_alpha: Positive = 1.0
    use_endpoint: bool = False
    vulnerability: Literal["probability", "loss", "flipped"] = "probability"
    gamma: float = 1.0
    eta: Positive = 1.0

    @model_validator(mode="after")
    def _possible(self) -> AdversarialAmendmentConfig:
        if self.mediate_rule == "iterates" and self.attack_steps == 1:
            raise ValueError("mediate_rule iterates needs attack_steps of at least 2: none comes before the only one")
        if self.mediate_rule == "none" and self.use_endpoint:
            raise ValueError("use_endpoint: with mediate_rule none the adversarial samples are all there is already")
        return self


class GanConfig(Document):
    """Of `method: gan` and `method: gan_compression`: the discriminator, and what the generator learns beside it.

    Attributes:
        discriminator: where it comes from: a factory that returns an nn.Module of pictures to logits; `weights` are its
            trained weights, needed only where no dense stage with `method: gan` came before. Its attribute
            `conditional`, if True, says that it is shown the input picture too, before the other on the channel axis.
        lr: of the discriminator's AdamW; it follows the schedule of the generator's.
        betas: of the same.
        reconstruction: weight of the mean absolute difference from the target picture in the generator's loss.
        freeze: don't train the discriminator (`sparse` and `qat` only).
    """

    discriminator: ModelConfig | None = None
    lr: Positive = 2e-4
    betas: Betas = (0.5, 0.999)
    reconstruction: NotNegative = 0.0
    freeze: bool = False


class GanCompressionConfig(Document):
    """Of `method: gan_compression`: how the generator is compared with the one that teaches.

    Attributes:
        consistency: weight of the whole self-supervised loss; 0 for plain distillation.
        discriminative: weight, in it, of the discriminator's loss terms beside the generator's.
        ratio: of the terms' means over the batch (`batch_mean`), or of the norms of the vectors of samples
            (`per_sample`).
        reference: whose judgement of the teacher's pictures is compared with: the discriminator of now (`current`), or
            as it was when the stage began (`frozen`).
        distill: weight of the mean absolute difference from the teacher's pictures.
        prune: `gradual`, or `once`, before the first step (`sparse` only).

    Source: arXiv 2007.01491.
    """

    consistency: NotNegative = 1.0
    discriminative: NotNegative = 0.5
    ratio: Literal["batch_mean", "per_sample"] = "batch_mean"
    reference: Literal["current", "frozen"] = "current"
    distill: NotNegative = 0.0
    prune: Literal["gradual", "once"] = "gradual"

    @model_validator(mode="after")
    def _teaches(self) -> GanCompressionConfig:
        if not (self.consistency or self.distill):
            raise ValueError("consistency and distill are both 0: there is nothing to learn from")
        return self


class TrainConfig(Document):
    """One training stage.

    Attributes:
        stage: `dense`, `sparse` (2:4) or `qat` (quantization-aware); each at most once, in this order.
        method: chosen by the stage when left out. dense: `supervised`, `group_knowledge`, `adversarial_amendment`, or
            `gan` (a generator beside a discriminator). sparse: `asp` (prune once, masks fixed), `sr_ste` (masks chosen
            anew each step, all weights learn), `gradual` (more zeros step by step) or `gpusq` (as asp, learning from
            the dense stage). qat: `qat` or `gpusq` (learning from the sparse stage). After a dense `gan` both are
            `gan_compression` (learning from the stage before, under its discriminator) or `gan` (its loss alone; in
            sparse with fixed masks).
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
        pattern: which weights of them (`sparse` only): `2:4`; for comparison any `N:M`, `unstructured`, or `filters`
            (whole outputs of a layer).
        sparsity: share of zeros of `unstructured` and `filters`, 0.5 where it is left out.
        scores: what decides in a group (`sparse` only): `magnitude`, or `activations`, the magnitude times the norm of
            what the weight is multiplied with over the calibration loader, for use without retraining.
        permute: search an order of channels before pruning (`sparse` only) in which 2:4 keeps more; the network's
            function stays.
        sr_ste: of that method.
        gradual: of that method.
        pairs: prune pairs of weights, 2 of 4 (`sparse` only), as INT4 kernels want it. Left out: where `calibrate.bits`
            is 4 and the pattern 2:4.
        gpusq: of that method.
        adversarial_amendment: of that method.
        gan: of that method and `gan_compression`. What later stages don't say is as in the first that has it; qat takes
            a hundredth of its learning rate.
        gan_compression: of that method.
        distill: None for labels alone.
    """

    stage: StageName
    method: Method | None = None
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
    adversarial_amendment: AdversarialAmendmentConfig = AdversarialAmendmentConfig()
    gan: GanConfig = GanConfig()
    gan_compression: GanCompressionConfig = GanCompressionConfig()
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
        if self.method == "gpusq" or (self.adversarial and self.stage != "dense"):
            return "dense" if self.stage == "sparse" else "sparse"
        return self.distill.teacher if self.distill else None

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator."""
        return self.method in ("gan", "gan_compression")

    @property
    def reads_labels(self) -> bool:
        """Whether training looks at the targets."""
        return self.method != "gpusq" or self.gpusq.labels

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases; 0 where nothing is said yet."""
        return sum(phase.epochs for phase in self.phases) if self.phases else self.epochs or 0


def pattern_numbers(pattern: str) -> tuple[int, int] | None:
    """N and M of `N:M`: N of every M weights stay; None for `unstructured` and `filters`.

    Raises:
        ValueError: it is neither, or keeps none or all.
    """
    if pattern in BY_SHARE:
        return None
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", pattern)
    kept, group = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < kept < group or group > _LARGEST_GROUP:
        raise ValueError("a pattern is `2:4`, `unstructured`, `filters`, or `N:M` (N of every M weights stay, "
                         f"0 < N < M, M at most {_LARGEST_GROUP})")
    return kept, group


__all__ = [
    "BY_SHARE", "AdversarialAmendmentConfig", "DataConfig", "DistillConfig", "GanCompressionConfig", "GanConfig",
    "GpusqConfig", "GradualConfig", "LayersConfig", "ModelConfig", "OptimizerConfig", "PhaseConfig", "SrSteConfig",
    "StageName", "TrainConfig", "pattern_numbers",
]
