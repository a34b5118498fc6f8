"""What a recipe says about a stage of training; model, data and methods have files of their own. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ..common.schema import Document
from .basic_config import DataConfig, LayersConfig, ModelConfig, OptimizerConfig, PhaseConfig
from .method_config import (
    AdversarialAmendmentConfig,
    DistillConfig,
    GanCompressionConfig,
    GanConfig,
    GpusqConfig,
    GradualConfig,
    GroupKnowledgeConfig,
    Method,
    SrSteConfig,
    StageName,
)

BY_SHARE = ("unstructured", "filters")  # patterns that need a sparsity
_LARGEST_GROUP = 64
_MINUTE = 60  # YAML reads an unquoted 2:4 as 2 minutes and 4 seconds


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
        group_knowledge: of that method (`dense` only).
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
    group_knowledge: GroupKnowledgeConfig = GroupKnowledgeConfig()
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
    "GpusqConfig", "GradualConfig", "GroupKnowledgeConfig", "LayersConfig", "ModelConfig", "OptimizerConfig",
    "PhaseConfig", "SrSteConfig", "StageName", "TrainConfig", "pattern_numbers",
]
