"""An inspection as tables to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..export.graph.lint import Finding
from .inspection import InspectedLayer, Inspection, Kernel
from .tensorrt.hops import Hop
from .tensorrt.ladder import pairs

_EACH = 8  # findings of one rule in the table
_SHOWN = 48  # letters of a kernel's name in the table; JSON has it whole


def layer_rows(found: Inspection) -> tuple[list[str], list[list[str]]]:
    """The layers as a table to print: headings and rows; an engine's say what runs them."""
    if found.kind == "plan" and not found.layers:
        return ["layer", "type", "kernel", "ran sparse"], [_kernel_row(kernel) for kernel in found.kernels]
    if _judged(found):
        heads = ["layer", "op", "weight", "2:4", "precision", "verdict", "kernel", "time"]
        return heads, [_verdict_row(layer) for layer in found.layers]
    proof = ["kernel", "ran sparse"] if found.kind == "engine" else []
    expected = ["prediction"] if _predicted(found) else []
    heads = ["layer", "op", "weight", "2:4", "zeros", "codes", *proof, *expected]
    return heads, [_row(layer, bool(proof)) for layer in found.layers]


def more_rows(found: Inspection) -> list[tuple[str, list[str], list[list[str]]]]:
    """What is known beyond the layers, as tables to print: title, headings and rows of each."""
    tables = []
    if _predicted(found):
        rows = [_prediction_row(layer) for layer in found.layers]
        tables.append(("predictions, which only an engine proves", ["layer", "in TensorRT", "because", "to change it"],
                       rows))
    if found.findings:
        tables.append((_title(found.findings), ["rule", "severity", "node", "what", "to fix it"],
                       _finding_rows(found.findings)))
    if _judged(found):
        proofs = [layer.evidence for layer in found.layers if layer.evidence is not None]
        rows = [[proof.name, proof.reason, proof.change or ""] for proof in proofs if proof.ran_sparse != "yes"]
        tables.append(("layers that are not known to run sparse", ["layer", "because", "to change it"], rows))
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


def _predicted(found: Inspection) -> bool:
    return any(layer.prediction is not None for layer in found.layers)


def _prediction_row(layer: InspectedLayer) -> list[str]:
    expected = layer.prediction
    return [layer.name, "", "", ""] if expected is None else [
        layer.name, expected.verdict, expected.reason, expected.change or "",
    ]


def _title(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return "findings: " + ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items())


def _finding_rows(findings: Sequence[Finding]) -> list[list[str]]:
    """A row for each, but for the many of one rule, of which the first stand for all."""
    counts, rows = Counter(finding.id for finding in findings), []
    seen: Counter[str] = Counter()
    for one in findings:
        seen[one.id] += 1
        if seen[one.id] <= _EACH:
            rows.append([one.id, one.severity, one.node, one.text, one.fix if seen[one.id] == 1 else "as above"])
        elif seen[one.id] == _EACH + 1:
            rows.append([one.id, one.severity, "...", f"and {counts[one.id] - _EACH} more; --json has them all", ""])
    return rows


def _judged(found: Inspection) -> bool:
    """Whether its layers have verdicts, as TensorRT's have."""
    return any(layer.verdict is not None for layer in found.layers)


def _row(layer: InspectedLayer, engine: bool) -> list[str]:
    codes = "int8" if layer.quantized else "float"
    known = [*_named(layer), f"{layer.zeros:.1%}", codes]
    if layer.prediction is not None:
        return [*known, layer.prediction.verdict]
    if not engine:
        return known
    proof = layer.evidence
    return [*known, *(["unknown"] * 2 if proof is None else [proof.kernel or "unknown", proof.ran_sparse])]


def _verdict_row(layer: InspectedLayer) -> list[str]:
    proof = layer.evidence
    if proof is None:
        return [*_named(layer), "unknown", "unknown", "unknown", ""]
    time = "" if proof.time_share is None else f"{proof.time_share:.1%}"
    return [*_named(layer), proof.precision, proof.verdict, _short(proof.kernel), time]


def _named(layer: InspectedLayer) -> list[str]:
    return [layer.name, layer.op, "x".join(map(str, layer.shape)), "yes" if layer.two_four else "no"]


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
