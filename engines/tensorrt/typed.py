"""The graph that TensorRT gets: the bundle's, with the float types that the engine shall have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from ...common import bundle as bundles
from ...common.bundle import Bundle
from ...export.graph.precision import type_rest
from ...export.graph.save import save
from ..config import TensorRTConfig
from ..ranges import largest_magnitudes
from ..records import Island

TYPED = "typed.onnx"


@dataclass(frozen=True)
class Typed:
    """What was written.

    Attributes:
        files: names, in the folder of the file.
        islands: nodes that stay FP32 although the rest is narrower.
        casts: Cast nodes that were added.
    """

    files: list[str]
    islands: list[Island]
    casts: int


def write_typed(model: ir.Model, config: TensorRTConfig, largest: Mapping[str, float], path: Path) -> Typed:
    """Type a graph and write it.

    Args:
        model: FP32 with INT8 Q/DQ; changed in place.
        config: says the type of what isn't quantized.
        largest: largest magnitude by tensor; see `largest_of`.
        path: the file.

    Raises:
        UserError: the graph can't be typed so, or the file can't be written.
    """
    typing = type_rest(model, config.rest, largest, config.scales)
    islands = [Island(node=island.node, reason=island.reason) for island in typing.islands]
    return Typed(save(model, path), islands, typing.casts)


def largest_of(bundle: Bundle, config: TensorRTConfig) -> dict[str, float]:
    """The largest magnitude of each tensor on some of the bundle's real inputs; empty where all stays FP32.

    Raises:
        UserError: the bundle's model or inputs are damaged.
    """
    if config.rest == "fp32":
        return {}
    return largest_magnitudes(bundle.model, bundle.arrays(bundles.REFERENCE, "inputs"))


__all__ = ["TYPED", "Typed", "largest_of", "write_typed"]
