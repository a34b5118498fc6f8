"""The CPU engine of an exported file, as `twofour build` makes it."""

from __future__ import annotations

from pathlib import Path

from twofour.engines.onnxruntime.evidence import inspect_layers
from twofour.engines.onnxruntime.passes import prepare
from twofour.export.graph.load import load
from twofour.export.graph.save import save


def built(path: Path) -> tuple[Path, int]:
    """Write it beside `path`, as `NAME-engine.onnx`.

    Returns:
        The file, and how many of its layers run on integers.
    """
    model, engine = load(path), path.with_name(f"{path.stem}-engine.onnx")
    prepare(model)
    save(model, engine)
    return engine, sum(layer.precision == "int8" for layer in inspect_layers(model, engine, 1))


__all__ = ["built"]
