"""The tables that commands end with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ..common.agreement import in_words
from ..common.bundle import Agreement
from ..common.metric import DISTANCE, metric_in, written
from ..engines.doctor import Finding, rows
from ..engines.inspect import Inspection, layer_rows, more_rows
from ..engines.records import Latency, ProfileRecord, Ratio, ValidationRecord
from ..engines.share import two_four_share
from .report.words import arm_name


def show(summary: dict[str, Any]) -> None:
    """Print the metric per stage, then size, agreement and speed per engine, to standard output."""
    console = Console()
    console.print(_stages(summary))
    if summary.get("note"):
        console.print(Text(summary["note"]))
    for name, figures in summary["engines"].items():
        console.print(_engine(name, figures))
        if figures.get("latency"):
            latencies = [Latency.model_validate({**row, "samples_ms": []}) for row in figures["latency"]]
            ratios = [Ratio.model_validate(row) for row in figures["speedup"]]
            console.print(_speed(f"{name}: latency and throughput", latencies, ratios))


def profile_table(record: ProfileRecord) -> Table:
    """Latency and throughput per batch size and arm, with the speed-up against what it is compared with."""
    return _speed(f"{record.backend}: latency and throughput", record.latencies, record.ratios)


def validation_table(record: ValidationRecord) -> Group:
    """The judgements, whose difference it is, at which batch, and where they part, layer by layer."""
    table = _pairs(f"{record.backend}: against {record.reference}")
    metric = record.metric
    beside = f"({record.reference} {written(metric, record.pytorch_value)})"
    table.add_row(metric, f"{written(metric, record.value)} {beside}")
    if record.dense_value is not None:
        table.add_row(f"{metric} of the dense model", written(metric, record.dense_value))
    if record.feature_distances and metric != DISTANCE:
        distances = (f"{name} {written(DISTANCE, value)}" for name, value in record.feature_distances.items())
        table.add_row(f"{DISTANCE} to real pictures", ", ".join(distances))
    noisy = f"{record.reference} under 1e-5 noise"
    for label, agreement in (("engine", record.agreement), (noisy, record.noise_floor)):
        shown = f"{in_words(agreement)}, {_decibel(agreement.snr_db)}"
        table.add_row(f"{label}, {agreement.samples} samples", shown)
    for gate in record.gates:
        met = "met" if gate.met else "MISSED"
        table.add_row(f"gate {gate.name}", f"{gate.value:.4g}, limit {gate.limit:.4g}: {met}")
    return Group(table, *_runtimes(record), *_batches(record), *map(Text, record.findings), *_layers(record))


def _runtimes(record: ValidationRecord) -> list[Table]:
    table = _table("the same graph on several runtimes", "runtime", "against", _head(record), ">signal to noise")
    for row in record.runtimes:
        found = row.agreement
        figures = ("not run", row.reason or "") if found is None else _alike(found)
        table.add_row(*map(Text, (row.name, row.against, *figures)))
    return [table] if record.runtimes else []


def _batches(record: ValidationRecord) -> list[Table]:
    heads = (">batch", _head(record), ">signal to noise", ">same as tuned batch", "")
    table = _table(f"over the range of batches, against {record.reference}", *heads)
    for row in record.batches:
        steady = "within roundings" if row.steady else "PARTS"
        table.add_row(str(row.batch), *_alike(row.agreement), _decibel(row.same.snr_db), steady)
    return [table] if record.batches else []


def _layers(record: ValidationRecord) -> list[Table]:
    table = _table("where they part", "layer", ">fed the same", ">codes that differ", ">in sequence")
    for layer in record.layers:
        codes = "" if layer.codes_differ is None else _percent(layer.codes_differ)
        fed = _decibel(layer.snr_db) if layer.fed else ""
        table.add_row(Text(layer.tensor), fed, codes, _decibel(layer.chained_snr_db))
    return [table] if record.layers else []


def _alike(found: Agreement) -> tuple[str, str]:
    return _score(found), _decibel(found.snr_db)


def _head(record: ValidationRecord) -> str:
    return ">same prediction" if record.agreement.ssim is None else ">SSIM, PSNR"


def _score(found: Agreement) -> str:
    """The share of equal predictions, or the likeness of pictures, where the column's head says which."""
    if found.ssim is None:
        return _percent(found.score)
    return f"{found.ssim:.3f}, {_decibel(found.psnr_db)}"


def inspection_table(found: Inspection) -> Group:
    """What a file holds: notes, the 2:4 table of its layers, and what is wrong with it."""
    about = _pairs(f"{found.kind} {found.path}")
    for name, size in found.sizes.items():
        about.add_row(name, f"{size / 1024:.1f} KiB")
    if found.layers:
        about.add_row("weights that are 2:4", _percent(two_four_share(found.layers)))
    if found.qdq.dequantize:
        pairs = f"{found.qdq.quantize} Q, {found.qdq.dequantize} DQ"
        about.add_row("Q/DQ", f"{pairs}, of {found.qdq.weights} weights and {found.qdq.activations} activations")
    heads, lines = layer_rows(found)
    layers = [_filled("layers", heads, lines)] if lines else []
    more = [_filled(*table) for table in more_rows(found)]
    return Group(*map(Text, found.notes), about, *layers, *more, *_complaints(found))


def _complaints(found: Inspection) -> list[Text]:
    """Why layers aren't 2:4, where no verdict and no prediction says it."""
    dense = [layer for layer in found.layers
             if not layer.two_four and layer.verdict is None and layer.prediction is None]
    return [Text(f"{layer.name} is not 2:4: {layer.reason}") for layer in dense]


def doctor_table(findings: Iterable[Finding]) -> Table:
    """What the machine has and lacks."""
    return _filled("this machine", *rows(findings))


def _filled(title: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    table = _table(title, *heads)
    for row in lines:
        table.add_row(*map(Text, row))  # as text: a name with brackets is no markup
    return table


def _stages(summary: dict[str, Any]) -> Table:
    found = [metric_in(record["metrics"]) for record in summary["stages"].values()]
    head = next((metric for metric in found if metric), "accuracy").replace("_", " ")
    table = _table(f"{summary['run']}: stages", "stage", f">{head}", ">seconds", ">peak MiB")
    for (name, record), metric in zip(summary["stages"].items(), found, strict=True):
        shown = "" if metric is None else written(metric, record["metrics"][metric])
        table.add_row(name, shown, f"{record['seconds']:.1f}", f"{record['peak_memory_bytes'] / 2**20:.0f}")
    return table


def _engine(name: str, figures: dict[str, Any]) -> Table:
    table = _pairs(f"{name}: engine")
    size, fp32 = figures["bytes"], figures["fp32_bytes"]
    table.add_row("weights that are 2:4", _percent(figures["two_four_share"]))
    table.add_row("layers that are 2:4", f"{figures['two_four_layers']} of {figures['layers']}")
    table.add_row("layers that ran sparse", f"{figures['ran_sparse_layers']} of {figures['layers']}")
    table.add_row("size", f"{size / 1024:.0f} KiB{_against(size, fp32)}")
    if validation := figures.get("validation"):
        found = Agreement.model_validate(validation["agreement"])
        label = f"same prediction as {validation['reference']}"
        shown = f"{_score(found)} of {found.samples}, {_decibel(found.snr_db)}"
        if found.ssim is not None:
            label, shown = f"pictures beside {validation['reference']}'s", f"{in_words(found)}, {found.samples} samples"
        table.add_row(label, shown)
    return table


def _against(size: int, fp32: int | None) -> str:
    if not fp32:
        return ""
    times = f"{fp32 / size:.2f} times smaller than" if fp32 >= size else f"{size / fp32:.2f} times the size of"
    return f", {times} FP32 ({fp32 / 1024:.0f} KiB)"


def _speed(title: str, latencies: Iterable[Latency], ratios: Iterable[Ratio]) -> Table:
    ratios = list(ratios)
    several = len({ratio.baseline for ratio in ratios}) > 1
    last = f"{ratios[0].arm} against it" if several else f"against {_baseline(ratios)}"
    table = _table(title, ">batch", "arm", ">p50 ms", ">p99 ms", ">samples/s", f">{last}")
    verdicts = {(ratio.baseline if several else ratio.arm, ratio.batch): _verdict(ratio) for ratio in ratios}
    for row in latencies:
        figures = (f"{row.p50:.3f}", f"{row.p99:.3f}", f"{row.throughput:.0f}", verdicts.get((row.arm, row.batch), ""))
        table.add_row(str(row.batch), row.arm, *figures)
    return table


def _baseline(ratios: Sequence[Ratio]) -> str:
    return arm_name(ratios[0].baseline) if ratios else "FP32"


def _verdict(ratio: Ratio) -> str:
    interval = f"({ratio.low:.2f} to {ratio.high:.2f})"
    if ratio.verdict in ("no difference", "unknown"):
        return f"{ratio.verdict} {interval}"
    return f"{ratio.speedup:.2f} times as fast {interval}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _decibel(value: float | None) -> str:
    return "bit for bit" if value is None else f"{value:.1f} dB"


def _pairs(title: str) -> Table:
    return Table("", "", title=title, title_justify="left", show_header=False)


def _table(title: str, *columns: str) -> Table:
    """A table; a column whose name begins with `>` is aligned to the right."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


__all__ = ["doctor_table", "inspection_table", "profile_table", "show", "validation_table"]
