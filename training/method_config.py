"""What a recipe says about the methods of training and pruning, each with a key of its own. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ..common.schema import Document
from .basic_config import Betas, Fraction, ModelConfig, NotNegative, Positive

Method = Literal[
    "supervised", "asp", "sr_ste", "gradual", "gpusq", "qat", "group_knowledge", "adversarial_amendment", "gan",
    "gan_compression",
]
StageName = Literal["dense", "sparse", "qat"]


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
        idle = [name for name in ("aggregate", "decay") if name in said]
        if idle and (self.teacher == "main" or self.loops == 1):
            raise ValueError(f"{idle[0]}: with teacher main, or with one loop, nothing is aggregated; leave it out")
        if "decay" in idle and self.aggregate != "ema":
            raise ValueError(f"decay: aggregate is {self.aggregate}, which has none")
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
        for name, rule in (("mediate_points", "grid"), ("mediate_alpha", "beta")):
            if getattr(self, name) != type(self).model_fields[name].default and self.mediate_rule != rule:
                raise ValueError(f"{name}: it is of mediate_rule {rule}, and the rule is {self.mediate_rule}")
        if self.vulnerability != "probability" and not self.gamma:
            raise ValueError("vulnerability: with gamma 0 all samples count alike; leave it out")
        return self


class GanConfig(Document):
    """Of `method: gan` and `method: gan_compression`: the discriminator, and what the generator learns beside it.

    Attributes:
        discriminator: where it comes from: a factory that returns an nn.Module of pictures to logits; `weights` are its
            trained weights, needed only where no dense stage with `method: gan` came before. Its attribute
            `conditional`, if True, says that it is shown the input picture too, before the other on the channel axis.
        lr: of the discriminator's Adam; it follows the schedule of the generator's.
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
        said = [name for name in ("discriminative", "ratio", "reference")
                if getattr(self, name) != type(self).model_fields[name].default]
        if said and not self.consistency:
            raise ValueError(f"{said[0]}: it is of the self-supervised loss, and consistency is 0")
        return self


__all__ = [
    "AdversarialAmendmentConfig", "DistillConfig", "GanCompressionConfig", "GanConfig", "GpusqConfig", "GradualConfig",
    "GroupKnowledgeConfig", "Method", "SrSteConfig", "StageName",
]
