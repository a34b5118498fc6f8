"""Whether two exporters gave the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from twofour.common.agreement import agreement
from twofour.common.files import load_npz
from twofour.export.graph.int8_weights import weight_codes
from twofour.export.graph.load import load
from twofour.export.graph.values import constant, is_op


def compare(folder: Path, exporters: tuple[str, str]) -> dict[str, Any]:
    """Quantizers by name, their scales, the weights' codes, and the answers to the same inputs."""
    first, second = (load(folder / f"{name}.onnx") for name in exporters)
    ours, theirs = quantizers(first), quantizers(second)
    shared = sorted(ours.keys() & theirs.keys())
    answers = [dict(load_npz(folder / f"{name}.npz")) for name in exporters]
    alike = agreement(answers[0], answers[1])
    return {
        "names": ours.keys() == theirs.keys(),
        "only_in_one": sorted(ours.keys() ^ theirs.keys())[:5],
        "scales": all(np.array_equal(_scale(ours[name]), _scale(theirs[name])) for name in shared),
        "codes": all(_same_codes(ours[name], theirs[name]) for name in shared),
        "agreement": alike.model_dump(),
    }


def quantizers(model: ir.Model) -> dict[str, ir.Node]:
    """QuantizeLinear nodes by the quantizer's name."""
    return {str(node.name).removesuffix("/QuantizeLinear"): node for node in model.graph
            if is_op(node, "QuantizeLinear")}


def _scale(node: ir.Node) -> np.ndarray:
    scale = constant(node.inputs[1])
    assert scale is not None
    return scale


def _same_codes(ours: ir.Node, theirs: ir.Node) -> bool:
    """Equal codes, or equal once one is turned: MatMul has the weight the other way round than Gemm."""
    first, second = weight_codes(ours), weight_codes(theirs)
    if first is None or second is None:
        return first is None and second is None
    return np.array_equal(first, second) or (first.ndim == 2 and np.array_equal(first, second.T))


__all__ = ["compare", "quantizers"]
