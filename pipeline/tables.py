"""The table that `twofour run` ends with."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(summary: dict[str, Any], console: Console | None = None) -> None:
    """Print accuracy per stage, then size and speed per engine, to standard output."""
    console = console or Console()
    console.print(_accuracy(summary))
    for name, figures in summary["engines"].items():
        console.print(_engine(name, figures))
        if figures.get("latency"):
            console.print(_speed(name, figures))


def _accuracy(summary: dict[str, Any]) -> Table:
    table = Table(title=f"{summary['run']}: accuracy", title_justify="left")
    for column, justify in (("stage", "left"), ("accuracy", "right"), ("seconds", "right"), ("peak MiB", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, record in summary["stages"].items():
        value = record["metrics"].get("accuracy")
        shown = "" if value is None else f"{100 * value:.2f} %"
        table.add_row(name, shown, f"{record['seconds']:.1f}", f"{record['peak_memory_bytes'] / 2**20:.0f}")
    return table


def _engine(name: str, figures: dict[str, Any]) -> Table:
    table = Table(title=f"{name}: engine", title_justify="left", show_header=False)
    size, fp32 = figures["bytes"], figures["fp32_bytes"]
    table.add_row("weights that are 2:4", f"{100 * figures['two_four_share']:.1f} %")
    table.add_row("layers that are 2:4", f"{figures['two_four_layers']} of {figures['layers']}")
    table.add_row("layers that ran sparse", f"{figures['ran_sparse_layers']} of {figures['layers']}")
    table.add_row("engine size", f"{size / 1024:.0f} KiB (FP32 {fp32 / 1024:.0f} KiB, {fp32 / size:.2f} times)")
    if validation := figures.get("validation"):
        agreement = validation["agreement"]
        snr = agreement["snr_db"]
        table.add_row("same prediction as PyTorch", f"{100 * agreement['predictions']:.2f} % of {agreement['samples']}")
        table.add_row("signal to noise", "bit for bit" if snr is None else f"{snr:.1f} dB")
    return table


def _speed(name: str, figures: dict[str, Any]) -> Table:
    table = Table(title=f"{name}: latency and throughput", title_justify="left")
    columns = ("batch", "arm", "p50 ms", "p99 ms", "samples/s", "against FP32")
    for column in columns:
        table.add_column(column, justify="left" if column == "arm" else "right")
    ratios = {(ratio["arm"], ratio["batch"]): ratio for ratio in figures["speedup"]}
    for row in figures["latency"]:
        ratio = ratios.get((row["arm"], row["batch"]))
        table.add_row(
            str(row["batch"]), row["arm"], f"{row['p50']:.3f}", f"{row['p99']:.3f}", f"{row['throughput']:.0f}",
            _verdict(ratio) if ratio else "",
        )
    return table


def _verdict(ratio: dict[str, Any]) -> str:
    interval = f"({ratio['low']:.2f} to {ratio['high']:.2f})"
    if ratio["verdict"] == "no difference":
        return f"no difference {interval}"
    return f"{ratio['speedup']:.2f} times {interval}"


__all__ = ["show"]
