"""The `trtexec` command that builds the same plan, for the installed release.

Its options are those of `samples/common/sampleOptions.cpp` in NVIDIA/TensorRT, releases 10.12 to 11.1.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...common.bundle import Tensor
from ..config import ShapeRange, TensorRTConfig
from .capabilities import Capabilities

_LEVELS = {"ampere_plus": "ampere+", "same_compute_capability": "sameComputeCapability"}


def trtexec_command(
    typed: str, plan: str, inputs: Sequence[Tensor], shapes: Mapping[str, ShapeRange], config: TensorRTConfig,
    can: Capabilities, cache: Path | None,
) -> str:
    """The command, to be pasted into a shell in the engine's folder.

    Args:
        typed: the typed ONNX file.
        plan: where trtexec writes its plan.
        inputs: as the bundle declares them.
        shapes: the optimization profile.
        config: the build's options.
        can: the installed release.
        cache: the timing cache's file, or None.
    """
    words = ["trtexec", f"--onnx={typed}", f"--saveEngine={plan}"]
    words += [] if can.major >= 11 else ["--stronglyTyped"]  # 11 knows no other networks
    words += _shapes(inputs, shapes)
    words += ["--sparsity=enable"] if config.sparse else []
    words += [f"--builderOptimizationLevel={config.optimization_level}", "--profilingVerbosity=detailed"]
    words += [f"--memPoolSize=workspace:{config.workspace_mib}M"] if config.workspace_mib is not None else []
    words += [f"--timingCacheFile={cache}"] if cache is not None else []
    words += [] if config.tf32 else ["--noTF32"]
    words += ["--refit"] if config.refit else []
    words += ["--versionCompatible"] if config.version_compatible else []
    if config.hardware_compatibility != "none":
        words.append(f"--hardwareCompatibilityLevel={_LEVELS[config.hardware_compatibility]}")
    if config.dla_core is not None:
        words += [f"--useDLACore={config.dla_core}", "--allowGPUFallback"]
    return shlex.join([*words, "--skipInference"])


def _shapes(inputs: Sequence[Tensor], shapes: Mapping[str, ShapeRange]) -> list[str]:
    """Of the dynamic inputs; trtexec refuses shapes of a network without any, and needs them of one that has some."""
    dynamic = [tensor.name for tensor in inputs if any(isinstance(size, str) for size in tensor.shape)]
    ends = ("min", "opt", "max") if dynamic else ()
    return [f"--{end}Shapes=" + ",".join(f"{name}:{_joined(getattr(shapes[name], end))}" for name in dynamic)
            for end in ends]


def _joined(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


__all__ = ["trtexec_command"]
