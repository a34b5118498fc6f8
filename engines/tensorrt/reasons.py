"""Why a layer can't run sparse, or why the builder kept a dense kernel, in words, with what would change it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...export.graph.sparse_rules import QUANTIZE_OUTPUT, Reason, grouped, pointwise, small, weight_obstacles
from ...export.graph.surroundings import Surroundings
from ...export.graph.two_four import Sparsity
from ..config import HardwareCompatibility, Rest, TensorRTConfig
from .inspector import InspectedLayer, TensorInfo

_AMPERE = (8, 0)
_ROWS = 128  # the tile height of the common kernels: fewer rows leave most of a tile empty
_LEVEL = 3


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


def obstacles(weight: Sparsity, around: Surroundings, build: BuildFacts) -> list[Reason]:
    """What rules a sparse kernel out, the one that explains most first; empty: nothing does."""
    return [*_of_the_build(build), *weight_obstacles(weight, around)]


def disadvantages(
    weight: Sparsity, around: Surroundings, build: BuildFacts, kernel: InspectedLayer | None
) -> list[Reason]:
    """Why an eligible layer may still run dense, the likeliest first; empty: no known reason fits."""
    return [
        *_starved(build), *_float_output(weight, around, kernel), *_hurried(build), *_fp32(weight, build, kernel),
        *grouped(weight, around), *small(weight, around), *pointwise(weight), *_few_rows(weight, kernel),
        *_restricted(build),
    ]


def _of_the_build(build: BuildFacts) -> Iterator[Reason]:
    if build.compute_capability is not None and build.compute_capability < _AMPERE:
        found = ".".join(map(str, build.compute_capability))
        yield Reason(f"this GPU (compute capability {found}) has no sparse tensor cores",
                     "Use a GPU of compute capability 8.0 (Ampere) or newer.")
    if build.sparse is False:
        yield Reason("the engine was built without sparse weights", "Build it with `sparse: true`.")


def _starved(build: BuildFacts) -> Iterator[Reason]:
    if build.short_of_memory:
        yield Reason("the builder left kernels out for lack of memory, so its choice says nothing",
                     "Free memory on the GPU, or allow a larger `workspace_mib`, and build it again.")


def _float_output(weight: Sparsity, around: Surroundings, kernel: InspectedLayer | None) -> Iterator[Reason]:
    seen = {tensor.kind for tensor in kernel.outputs} if kernel is not None else set()
    if not (weight.quantized and around.int8_in) or seen == {"int8"}:
        return
    if around.float_reader is not None:
        yield Reason(f"INT8 goes in but float comes out, read by {around.float_reader}; sparse INT8 kernels are met "
                     "with INT8 output only", QUANTIZE_OUTPUT)
    elif "float" in seen:
        yield Reason("INT8 goes in but the kernel writes float; sparse INT8 kernels are met with INT8 output only",
                     QUANTIZE_OUTPUT)


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


def _few_rows(weight: Sparsity, kernel: InspectedLayer | None) -> Iterator[Reason]:
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


def _rows(weight: Sparsity, kernel: InspectedLayer | None) -> int | None:
    """Rows of the matrix product: batch and places of a convolution, leading axes of the others."""
    first: TensorInfo | None = kernel.outputs[0] if kernel is not None and kernel.outputs else None
    if first is None or not first.dims or min(first.dims) < 1:
        return None
    kept = (first.dims[0], *first.dims[2:]) if weight.op.startswith("Conv") else first.dims[:-1]
    return math.prod(kept)


__all__ = ["BuildFacts", "Reason", "disadvantages", "obstacles"]
