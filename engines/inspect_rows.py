"""An inspection as tables to print."""

from __future__ import annotations

from .inspection import InspectedLayer, Inspection, Kernel
from .records import LayerEvidence
from .tensorrt.hops import Hop
from .tensorrt.ladder import pairs

_FEW = 2  # columns that an engine of ONNX Runtime has more than a graph
_SHOWN = 48  # letters of a kernel's name in the table; JSON has it whole


def layer_rows(found: Inspection) -> tuple[list[str], list[list[str]]]:
    """The layers as a table to print: headings and rows; an engine's has more columns, TensorRT's the most."""
    if found.kernels:
        return ["layer", "type", "kernel", "ran sparse"], [_kernel_row(kernel) for kernel in found.kernels]
    proof = _heads(found)
    codes = "precision" if len(proof) > _FEW else "codes"
    heads = ["layer", "op", "weight", "2:4", "zeros", codes, *proof]
    return heads, [_row(layer, len(proof)) for layer in found.layers]


def more_rows(found: Inspection) -> list[tuple[str, list[str], list[list[str]]]]:
    """What is known of a TensorRT engine beyond its layers, as tables to print: title, headings and rows of each."""
    tables = []
    if found.ladder is not None:
        known = [[said] for said in found.ladder.says] or [["nothing"]]
        missing = [] if found.ladder.missing is None else [[f"not more, because {found.ladder.missing}"]]
        tables.append((f"evidence of sparsity: rung {found.ladder.rung} of 5", ["what may be said"], known + missing))
        log = [[pair] for pair in pairs(found.sparsity_log)] or [["nothing"]]
        tables.append(("the build log on sparsity", ["each selection"], log))
    if found.hops:
        heads = ["change", "from", "to", "made by", "read by", "between INT8 layers"]
        tables.append((f"{len(found.hops)} reformats", heads, [_hop_row(hop) for hop in found.hops]))
    return tables


def _heads(found: Inspection) -> list[str]:
    if found.kind == "plan" or found.ladder is not None:
        return ["kernel", "verdict", "time", "because", "to change it"]
    return ["kernel", "ran sparse"] if found.kind == "engine" else []


def _row(layer: InspectedLayer, columns: int) -> list[str]:
    shape, codes = "x".join(map(str, layer.shape)), "int8" if layer.quantized else "float"
    if columns > _FEW and layer.evidence is not None:
        codes = layer.evidence.precision
    judged = ["yes" if layer.two_four else "no", f"{layer.zeros:.1%}", codes]
    return [layer.name, layer.op, shape, *judged, *_proof(layer.evidence, columns)]


def _proof(evidence: LayerEvidence | None, columns: int) -> list[str]:
    if evidence is None:
        return ["unknown"] * columns
    if columns <= _FEW:
        return [evidence.kernel or "unknown", evidence.ran_sparse][:columns]
    time = "" if evidence.time_share is None else f"{evidence.time_share:.1%}"
    return [_short(evidence.kernel), evidence.verdict, time, evidence.reason, evidence.change or ""]


def _kernel_row(kernel: Kernel) -> list[str]:
    return [kernel.name, kernel.type, _short(kernel.kernel), kernel.ran_sparse]


def _hop_row(hop: Hop) -> list[str]:
    ends = [", ".join(nodes) for nodes in (hop.made_by, hop.read_by)]
    return [hop.change, hop.from_format, hop.to_format, *ends, "yes" if hop.between_int8 else ""]


def _short(kernel: str | None) -> str:
    if kernel is None:
        return "unknown"
    return kernel if len(kernel) <= _SHOWN else f"{kernel[:_SHOWN]}..."


__all__ = ["layer_rows", "more_rows"]
