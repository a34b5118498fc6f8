"""What an inspection finds, whoever looked."""

from __future__ import annotations

from typing import Literal

from ..common.schema import Document
from ..export.graph.lint import Finding, Prediction
from .qdq import QdqCounts
from .records import LayerEvidence, SparsityLine, Verdict
from .tensorrt.hops import Hop
from .tensorrt.ladder import Ladder

NO_GRAPH = QdqCounts(quantize=0, dequantize=0, weights=0, activations=0)


class InspectedLayer(Document):
    """A weighted node of the ONNX graph, judged on the codes in the file.

    Attributes:
        name: the node's name.
        op: the ONNX operator.
        shape: the weight as the operator sees it.
        two_four: every aligned group of 4 codes along the reduction axis has at least 2 zeros.
        groups: number of those groups.
        violations: groups with more than 2 codes that are not zero.
        zeros: share of zero codes, 0 to 1.
        quantized: its weight is stored or quantized as integers.
        reason: why it is, or is not, 2:4.
        evidence: what the engine's builder found out about it; None where there is no engine.
        verdict: what may be said of its sparsity in a TensorRT engine; None in any other.
        prediction: what is to be expected of it in a TensorRT engine; None where there is an engine already.
    """

    name: str
    op: str
    shape: list[int]
    two_four: bool
    groups: int
    violations: int
    zeros: float
    quantized: bool
    reason: str
    evidence: LayerEvidence | None = None
    verdict: Verdict | None = None
    prediction: Prediction | None = None


class Kernel(Document):
    """A layer of a TensorRT engine that computes something, where there is no ONNX graph to join it with.

    Attributes:
        name: the builder's name.
        type: the builder's word for it.
        nodes: the ONNX nodes that it holds, as far as the engine says.
        kernel: name of its kernel, or None.
        ran_sparse: by that name alone; `unknown` where it doesn't tell.
        weights: number of its weights, or None where the engine doesn't say.
    """

    name: str
    type: str
    nodes: list[str]
    kernel: str | None
    ran_sparse: Literal["yes", "no", "unknown"]
    weights: int | None


class Inspection(Document):
    """What was found.

    Attributes:
        kind: what `path` is; a plan is a TensorRT engine without its folder.
        sizes: bytes by file name.
        layers: the weighted nodes in the graph's order.
        qdq: how the graph is quantized.
        findings: what is wrong with it, the worst first.
        notes: what else its record says.
        sparsity_log: what TensorRT's builder said of sparsity, in its order.
        ladder: how far a TensorRT engine's evidence of sparsity reaches.
        hops: where tensors change dtype or layout between the layers of a TensorRT engine.
        kernels: the layers of a TensorRT engine without its ONNX graph.
    """

    kind: Literal["onnx", "bundle", "engine", "plan"]
    path: str
    sizes: dict[str, int]
    layers: list[InspectedLayer]
    qdq: QdqCounts
    notes: list[str]
    findings: list[Finding] = []
    sparsity_log: list[SparsityLine] = []
    ladder: Ladder | None = None
    hops: list[Hop] = []
    kernels: list[Kernel] = []


def of_record(evidence: LayerEvidence) -> InspectedLayer:
    """A layer of which only the engine's record is there."""
    return InspectedLayer(
        name=evidence.name, op=evidence.op, shape=evidence.shape, two_four=evidence.two_four, groups=0, violations=0,
        zeros=evidence.zeros, quantized=evidence.precision == "int8", reason=evidence.reason, evidence=evidence,
        verdict=evidence.verdict,
    )


__all__ = ["NO_GRAPH", "InspectedLayer", "Inspection", "Kernel", "of_record"]
