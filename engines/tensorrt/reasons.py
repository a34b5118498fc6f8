"""Why a layer can't run sparse, or why the builder kept a dense kernel, in words, with what would change it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...export.graph.two_four import Sparsity
from ..config import HardwareCompatibility, Rest, TensorRTConfig
from .inspector import InspectedLayer, TensorInfo
from .surroundings import Surroundings

_AMPERE = (8, 0)
_WIDE, _MULTIPLE = 256, 128  # channels from which, and steps in which, sparse kernels pay, by TensorRT's maintainers
_ROWS = 128  # the tile height of the common kernels: fewer rows leave most of a tile empty
_FEW = (16, 8)  # input and output channels below which pruning tools leave a layer alone
_LEVEL = 3
_RETRAIN = "Prune it to 2:4 along its reduction axis, keep the mask in every later stage, and export it again."


@dataclass(frozen=True)
class BuildFacts:
    """What matters here of how an engine was built; None where nobody knows.

    Attributes:
        sparse: sparse weights were allowed.
        compute_capability: of the GPU, such as (8, 6).
        optimization_level: 0 to 5.
        rest: dtype of what is not quantized.
        hardware_compatibility: which other GPUs the plan must run on.
        version_compatible: later releases may run the plan.
        refit: the weights may be exchanged later.
        short_of_memory: the builder left tactics out for lack of memory.
    """

    sparse: bool | None = None
    compute_capability: tuple[int, int] | None = None
    optimization_level: int | None = None
    rest: Rest | None = None
    hardware_compatibility: HardwareCompatibility = "none"
    version_compatible: bool = False
    refit: bool = False
    short_of_memory: bool = False

    @classmethod
    def of(
        cls, config: TensorRTConfig, compute_capability: tuple[int, int] | None, *, short_of_memory: bool = False
    ) -> BuildFacts:
        """The facts of a build with `config` on a GPU."""
        return cls(config.sparse, compute_capability, config.optimization_level, config.rest,
                   config.hardware_compatibility, config.version_compatible, config.refit, short_of_memory)


@dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        text: part of a sentence about the layer.
        change: what would make a difference, a whole sentence; None where nothing is known to.
    """

    text: str
    change: str | None = None


def obstacles(weight: Sparsity, around: Surroundings, build: BuildFacts) -> list[Reason]:
    """What rules a sparse kernel out, the one that explains most first; empty: nothing does."""
    return [*_of_the_build(build), *_of_the_weight(weight, around)]


def disadvantages(
    weight: Sparsity, around: Surroundings, build: BuildFacts, kernel: InspectedLayer | None
) -> list[Reason]:
    """Why an eligible layer may still run dense, the likeliest first; empty: no known reason fits."""
    return [
        *_starved(build), *_float_output(weight, around, kernel), *_hurried(build), *_fp32(weight, build, kernel),
        *_grouped(weight, around), *_small(weight, around, kernel), *_restricted(build),
    ]


def _of_the_build(build: BuildFacts) -> Iterator[Reason]:
    if build.compute_capability is not None and build.compute_capability < _AMPERE:
        found = ".".join(map(str, build.compute_capability))
        yield Reason(f"this GPU (compute capability {found}) has no sparse tensor cores",
                     "Use a GPU of compute capability 8.0 (Ampere) or newer.")
    if build.sparse is False:
        yield Reason("the engine was built without sparse weights", "Build it with `sparse: true`.")


def _of_the_weight(weight: Sparsity, around: Surroundings) -> Iterator[Reason]:
    ins = _reduction(weight, around)
    if not around.constant:
        yield Reason(weight.reason, "Fold what computes its weights into constants before the export.")
    elif around.group > 1 and ins % 4:
        kind = "depthwise" if ins == 1 else "grouped"
        yield Reason(f"it is {kind}: {_count(ins)} to sum over, and sparse kernels need a multiple of 4",
                     "Use fewer groups; a dense convolution of the same width can be sparse.")
    elif 0 < ins < 4:
        yield Reason(f"it sums over {_count(ins)} only, as the first layer of an image network does; sparse kernels "
                     "need a multiple of 4", "Leave it dense; it is seldom worth more.")
    elif ins % 4 or not ins:
        yield Reason(weight.reason, "Use a number of input channels that is a multiple of 4, better of 16.")
    elif not weight.two_four:
        yield Reason(weight.reason, _RETRAIN)


def _starved(build: BuildFacts) -> Iterator[Reason]:
    if build.short_of_memory:
        yield Reason("the builder left kernels out for lack of memory, so its choice says nothing",
                     "Free memory on the GPU, or allow a larger `workspace_mib`, and build it again.")


def _float_output(weight: Sparsity, around: Surroundings, kernel: InspectedLayer | None) -> Iterator[Reason]:
    seen = {tensor.kind for tensor in kernel.outputs} if kernel is not None else set()
    if not (weight.quantized and around.int8_in) or seen == {"int8"}:
        return
    change = "Quantize its output, or the other input of the addition behind it, so that integers leave the kernel."
    if around.float_reader is not None:
        yield Reason(f"INT8 goes in but float comes out, read by {around.float_reader}; sparse INT8 kernels are met "
                     "with INT8 output only", change)
    elif "float" in seen:
        yield Reason("INT8 goes in but the kernel writes float; sparse INT8 kernels are met with INT8 output only",
                     change)


def _hurried(build: BuildFacts) -> Iterator[Reason]:
    if build.optimization_level is not None and build.optimization_level < _LEVEL:
        yield Reason(f"at optimization level {build.optimization_level} the builder tries few kernels",
                     f"Build it with `optimization_level: {_LEVEL}` or more.")


def _fp32(weight: Sparsity, build: BuildFacts, kernel: InspectedLayer | None) -> Iterator[Reason]:
    given = kernel.inputs[:1] if kernel is not None else ()
    single = any("FP32" in tensor.format or tensor.format == "Float" for tensor in given)
    if single or (not given and not weight.quantized and build.rest == "fp32"):
        yield Reason("it computes in FP32; sparse kernels are for INT8 and 16-bit floats",
                     "Quantize it, or build with `rest: fp16`.")


def _grouped(weight: Sparsity, around: Surroundings) -> Iterator[Reason]:
    if around.group > 1:
        yield Reason(f"it has {around.group} groups of {_count(_reduction(weight, around))}; grouped convolutions are "
                     "hardly ever sparse", "Use one group.")


def _small(weight: Sparsity, around: Surroundings, kernel: InspectedLayer | None) -> Iterator[Reason]:
    ins, outs = _reduction(weight, around) * around.group, _outputs(weight, around)
    if ins < _FEW[0] or outs < _FEW[1]:
        yield Reason(f"it has few channels ({ins} in, {outs} out)", f"Widen it to {_WIDE} channels or more.")
    elif min(ins, outs) < _WIDE:
        yield Reason(f"it is too small to gain ({ins} channels in, {outs} out; sparse kernels pay from about {_WIDE})",
                     f"Widen it to {_WIDE} channels or more, or accept the dense kernel.")
    elif ins % _MULTIPLE or outs % _MULTIPLE:
        yield Reason(f"its channels ({ins} in, {outs} out) are no multiples of {_MULTIPLE}",
                     f"Use multiples of {_MULTIPLE}.")
    rows = _rows(weight, kernel)
    if rows is not None and rows < _ROWS:
        yield Reason(f"it computes {rows} rows only at the shape that it was timed at",
                     "Build with the larger `opt_batch` that will be deployed.")


def _restricted(build: BuildFacts) -> Iterator[Reason]:
    asked = {
        "hardware compatibility": build.hardware_compatibility != "none",
        "version compatibility": build.version_compatible, "refit": build.refit,
    }
    for name, wanted in asked.items():
        if wanted:
            yield Reason(f"the engine was built for {name}, whose effect on sparse kernels is not known",
                         "Build once without it and compare.")


def _reduction(weight: Sparsity, around: Surroundings) -> int:
    """Channels that one output sums over, kernel positions left out."""
    length = weight.shape[weight.axis] if weight.shape else 0
    return length // around.group if weight.op == "ConvTranspose" else length


def _outputs(weight: Sparsity, around: Surroundings) -> int:
    if weight.op == "Conv":
        return weight.shape[0] if weight.shape else 0
    if weight.op == "ConvTranspose":
        return weight.shape[1] * around.group if weight.shape else 0
    others = [size for axis, size in enumerate(weight.shape) if axis != weight.axis]
    return others[-1] if others else 1


def _rows(weight: Sparsity, kernel: InspectedLayer | None) -> int | None:
    """Rows of the matrix product: batch and places of a convolution, leading axes of the others."""
    first: TensorInfo | None = kernel.outputs[0] if kernel is not None and kernel.outputs else None
    if first is None or not first.dims or min(first.dims) < 1:
        return None
    kept = (first.dims[0], *first.dims[2:]) if weight.op.startswith("Conv") else first.dims[:-1]
    return math.prod(kept)


def _count(channels: int) -> str:
    return f"{channels} channel" if channels == 1 else f"{channels} channels"


__all__ = ["BuildFacts", "Reason", "disadvantages", "obstacles"]
