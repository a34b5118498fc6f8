"""The arms that a sparse engine is compared with: which graph each is built from, and with which options.

A bundle holds no dense weights, so the dense arms get the sparse network's with its zeros filled: shapes, types and
scales are the same, and only their speed is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...common.bundle import Bundle
from ...export.graph.densify import fill_zeros
from ...export.graph.load import load
from ...export.graph.strip_qdq import strip_qdq
from ..config import Arm, TensorRTConfig
from .typed import write_typed

DENSE: tuple[Arm, ...] = ("dense-fp16", "dense-int8")


def own_arm(options: TensorRTConfig) -> Arm:
    """Which arm an engine with these options is."""
    return "sparse-int8" if options.sparse else "sparse-int8-flag-off"


def arm_options(arm: Arm, options: TensorRTConfig) -> TensorRTConfig:
    """How an arm is built: as the engine, but for what the arm is about, and without a timing cache.

    A cache would make every build choose the tactics of the first, and so hide how much builds differ.
    """
    differs = {"timing_cache": "off", "sparse": arm in ("dense-int8", "sparse-int8")}
    return options.model_copy(update=differs | ({"rest": "fp16"} if arm == "dense-fp16" else {}))


def write_dense(arm: Arm, source: Bundle, options: TensorRTConfig, largest: Mapping[str, float], path: Path) -> None:
    """Write the typed graph of a dense arm.

    Args:
        arm: one of `DENSE`; `dense-fp16` has no Q and DQ.
        source: the bundle.
        options: of the arm.
        largest: largest magnitude of tensors by name; see `write_typed`.
        path: the ONNX file.

    Raises:
        UserError: the bundle's model can't be read, or the file can't be written.
    """
    model = load(source.model)
    if arm == "dense-fp16":
        strip_qdq(model)
    fill_zeros(model)
    write_typed(model, options, largest, path)


__all__ = ["DENSE", "arm_options", "own_arm", "write_dense"]
