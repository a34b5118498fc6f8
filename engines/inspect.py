"""What is in this file or folder? The 2:4 table of its layers, its Q/DQ pairs, sizes, and an engine's evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..common import bundle as bundles
from ..common.bundle import Layer
from ..common.errors import UserError
from ..common.schema import Document
from ..export.graph.load import load
from ..export.graph.two_four import Sparsity, check
from .qdq import Fault, QdqCounts, count, faults
from .records import ENGINE, LayerEvidence, read_engine


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


class Inspection(Document):
    """What was found.

    Attributes:
        kind: what `path` is.
        sizes: bytes by file name.
        layers: the weighted nodes in the graph's order.
        qdq: how the graph is quantized.
        faults: what is wrong with it.
        notes: what else its record says.
    """

    kind: Literal["onnx", "bundle", "engine"]
    path: str
    sizes: dict[str, int]
    layers: list[InspectedLayer]
    qdq: QdqCounts
    faults: list[Fault]
    notes: list[str]


def inspect(path: Path) -> Inspection:
    """Look into an ONNX file, a bundle folder or an engine folder.

    Raises:
        UserError: `path` is none of these, or is damaged.
    """
    if (path / ENGINE).is_file():
        return _engine(path)
    if (path / bundles.MANIFEST).is_file():
        return _bundle(path)
    if path.is_dir():
        raise UserError("This folder holds neither a bundle nor an engine.", where=str(path),
                        fix="Give an ONNX file, a bundle (RUN/bundle) or an engine (RUN/engines/NAME).")
    return _graph("onnx", path, path, {path.name: path.stat().st_size if path.is_file() else 0}, [])


def _engine(folder: Path) -> Inspection:
    record = read_engine(folder)
    notes = [f"{record.backend} on {record.device}, built from bundle {record.bundle_digest[:12]}", *record.notes]
    if not record.engine.endswith(".onnx"):
        empty = QdqCounts(quantize=0, dequantize=0, weights=0, activations=0)
        layers = [_known(evidence) for evidence in record.layers]
        return Inspection(kind="engine", path=str(folder), sizes=record.sizes, layers=layers, qdq=empty, faults=[],
                          notes=notes)
    found = _graph("engine", folder / record.engine, folder, record.sizes, notes)
    known = {layer.name: layer for layer in record.layers}
    layers = [layer.model_copy(update={"evidence": known.get(layer.name)}) for layer in found.layers]
    return found.model_copy(update={"layers": layers})


def _bundle(folder: Path) -> Inspection:
    source = bundles.read(folder)
    names = [*source.manifest.files, bundles.MANIFEST]
    notes = [f"network {source.manifest.name}"]
    for stage, metrics in source.manifest.metrics.items():
        notes.append(f"{stage}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    found = _graph("bundle", source.model, folder, {name: (folder / name).stat().st_size for name in names}, notes)
    return found.model_copy(update={"faults": [*_broken_promises(source.manifest.layers, found.layers), *found.faults]})


def _broken_promises(layers: Sequence[Layer], found: Sequence[InspectedLayer]) -> list[Fault]:
    promised = {layer.name for layer in layers if layer.sparse}
    return [Fault(level="error", node=layer.name, text=f"was pruned to 2:4 in training, but {layer.reason}")
            for layer in found if layer.name.split("#")[0] in promised and not layer.two_four]


def _graph(
    kind: Literal["onnx", "bundle", "engine"], file: Path, path: Path, sizes: dict[str, int], notes: list[str]
) -> Inspection:
    model = load(file)
    return Inspection(kind=kind, path=str(path), sizes=sizes, layers=[_layer(found) for found in check(model)],
                      qdq=count(model), faults=faults(model), notes=notes)


def _layer(found: Sparsity) -> InspectedLayer:
    return InspectedLayer(
        name=found.name, op=found.op, shape=list(found.shape), two_four=found.two_four, groups=found.groups,
        violations=found.violations, zeros=found.zeros, quantized=found.quantized, reason=found.reason,
    )


def _known(evidence: LayerEvidence) -> InspectedLayer:
    return InspectedLayer(
        name=evidence.name, op=evidence.op, shape=evidence.shape, two_four=evidence.two_four, groups=0, violations=0,
        zeros=evidence.zeros, quantized=evidence.precision == "int8", reason=evidence.reason, evidence=evidence,
    )


def layer_rows(found: Inspection) -> tuple[list[str], list[list[str]]]:
    """The layers as a table to print: headings and rows; an engine's has two columns more."""
    engine = found.kind == "engine"
    proof = ["kernel", "ran sparse"] if engine else []
    heads = ["layer", "op", "weight", "2:4", "zeros", "codes", *proof]
    return heads, [_row(layer, engine) for layer in found.layers]


def _row(layer: InspectedLayer, engine: bool) -> list[str]:
    shape, codes = "x".join(map(str, layer.shape)), "int8" if layer.quantized else "float"
    judged = ["yes" if layer.two_four else "no", f"{layer.zeros:.1%}", codes]
    return [layer.name, layer.op, shape, *judged, *(_proof(layer.evidence) if engine else [])]


def _proof(evidence: LayerEvidence | None) -> list[str]:
    if evidence is None:
        return ["unknown", "unknown"]
    return [evidence.kernel or "unknown", evidence.ran_sparse]


__all__ = ["InspectedLayer", "Inspection", "inspect", "layer_rows"]
