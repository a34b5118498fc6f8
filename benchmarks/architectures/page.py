"""docs/architectures.md, from benchmarks/results/architectures.json."""

from __future__ import annotations

from typing import Any

EXPORTERS = ("dynamo", "torchscript")
HEAD = """# Architectures

Made by `python benchmarks/architectures` from `benchmarks/results/architectures.json`. Each network has fresh weights
and the published structure, smaller as the table says. It is pruned to 2:4 in one shot, quantized with the default
placement (`tensorrt`), calibrated on crops of photographs (the generator: on its noise), exported by each exporter with
a batch of 2, and run beside PyTorch's fake quantization: by ONNX Runtime as it stands, and as the CPU engine that
`twofour build` makes of it.
"""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    found, rows = results["machine"], results["rows"]
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("onnxruntime", "torch"))
    parts = [HEAD, f"Machine: {found['cpu']}, {found['cores']} cores; {versions}, "
             f"transformers {results['transformers']}.",
             "## What was exported", table(["architecture", "input", "size", "parameters", "MACs", "of them eligible"],
                                           [_network(row) for row in rows]),
             _ELIGIBLE, "## Each exporter", table(_EXPORT, [line for row in rows for line in _exports(row)]), _LEGEND,
             _OTHERS, "## The same network from both", table(_SAME, [_same(row) for row in rows]), _reasons(rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


_ELIGIBLE = """MACs: multiply-accumulates with a weight, for one sample. Eligible: those of the layers that a sparse
kernel can take (outputs in multiples of 8, a reduction axis in multiples of 16, no groups); all of them are 2:4 in the
exported files."""
_EXPORT = ["architecture", "exporter", "Q, DQ", "lint", "same class %", "SNR dB", "engine: same class %, SNR dB",
           "engine: layers on integers", "noise floor: same class %, SNR dB", "batch 1, 5", "other height and width",
           "seconds", "peak MB"]
_LEGEND = """Lint: findings by severity (errors, warnings, notes). Same class and SNR: ONNX Runtime against PyTorch on
32 inputs, the graph as it stands, without any of ONNX Runtime's fusions. Engine: the same for the CPU engine, with all
of them; layers on integers round at other places, and a network that lies near a step shows it. The noise floor is
PyTorch against itself with noise of 1e-5 on the inputs: no engine can be asked to be closer. Batch and other height and
width: the engine runs there and answers as PyTorch does; `multiples` where forward() decides on the size, so that the
graph holds for sizes that divide like the example's (export warns of it). Seconds and memory are of the export alone,
memory of the whole process."""
_OTHERS = """The exported file itself is not for ONNX Runtime with its optimizations on: on x86 processors without VNNI
they multiply its signed codes in 16 saturating bits, and many sums are wrong (see [engines.md](engines.md))."""
_SAME = ["architecture", "quantizers' names", "scales", "weights' codes", "same class %", "SNR dB"]


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _network(row: dict[str, Any]) -> list[str]:
    about = row["about"]
    shape = " x ".join(map(str, row["shape"]))
    if about is None:
        return [row["name"], shape, row["size"], "", "", ""]
    return [row["name"], shape, row["size"], f"{about['parameters'] / 1e6:.2f} M", f"{about['macs'] / 1e6:.1f} M",
            f"{100 * about['eligible_share']:.1f} % ({about['eligible_layers']} of {about['layers']} layers)"]


def _exports(row: dict[str, Any]) -> list[list[str]]:
    return [[row["name"], exporter, *_export(row["exporters"][exporter], row["scores"], row["about"])]
            for exporter in EXPORTERS]


def _export(found: dict[str, Any], scores: bool, about: dict[str, Any]) -> list[str]:
    if not found["exported"]:
        return ["no: see below", *[""] * (len(_EXPORT) - 3)]
    lint = ", ".join(str(found["lint"].get(severity, 0)) for severity in ("error", "warning", "note"))
    floor = found["noise_floor"]
    return [
        f"{found['quantize']}, {found['dequantize']}", lint, *_alike(found["agreement"], scores),
        *_engine(found, scores, about["layers"]), ", ".join(_alike(floor, scores)),
        ", ".join(_yes(entry) for entry in found["batches"].values()), _yes(found["sizes"]),
        f"{found['seconds']:.1f}", f"{found['peak_memory_bytes'] / 1e6:.0f}",
    ]


def _engine(found: dict[str, Any], scores: bool, layers: int) -> list[str]:
    if "engine" not in found:  # a row of an older run
        return ["not measured", "not measured"]
    return [", ".join(_alike(found["engine"], scores)), f"{found['integer']} of {layers}"]


def _alike(found: dict[str, Any], scores: bool) -> list[str]:
    ratio = "equal" if found["snr_db"] is None else f"{found['snr_db']:.1f}"
    return [f"{100 * found['predictions']:.2f}" if scores else "no classes", ratio]


def _yes(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "no picture"
    return "no" if not entry["runs"] else "yes" if entry.get("any_size", True) else "multiples"


def _same(row: dict[str, Any]) -> list[str]:
    same = row["same"]
    if same is None:
        return [row["name"], "one of them is missing", *[""] * (len(_SAME) - 2)]
    return [row["name"], *("same" if same[key] else "DIFFERENT" for key in ("names", "scales", "codes")),
            *_alike(same["agreement"], row["scores"])]


def _reasons(rows: list[dict[str, Any]]) -> str:
    lines = [f"- {row['name']}, {exporter}{what}: {entry.get('reason', 'another answer')}"
             for row in rows for exporter in EXPORTERS for what, entry in _failed(row["exporters"][exporter]).items()]
    return "## What does not work, and why\n\n" + "\n".join(lines) if lines else ""


def _failed(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not found["exported"]:
        return {"": found}
    tried = {f", batch {size}": entry for size, entry in found["batches"].items()}
    tried[", other height and width"] = found["sizes"] or {"runs": True}
    return {what: entry for what, entry in tried.items() if not entry["runs"]}


__all__ = ["EXPORTERS", "page", "table"]
