"""What is in this file or folder? The 2:4 table of its layers, its Q/DQ pairs, sizes, and an engine's evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..common import bundle as bundles
from ..common.errors import UserError
from ..export.graph.lint import (
    Context,
    Prediction,
    anywhere,
    broken_promises,
    by_severity,
    examine,
    find_release,
    predictions,
)
from ..export.graph.lint.releases import Release
from ..export.graph.load import load
from ..export.graph.two_four import Sparsity
from .inspect_rows import layer_rows, more_rows
from .inspection import InspectedLayer, Inspection
from .qdq import count
from .records import ENGINE, read_engine
from .tensorrt.inspect import inspect_folder, inspect_loaded_plan, inspect_plan, inspect_plan_information
from .tensorrt.plan_header import SUFFIXES, plan_header


def inspect(
    path: Path, *, trust: bool = False, onnx: Path | None = None, tensorrt: str | None = None
) -> Inspection:
    """Look into an ONNX file, a bundle folder, an engine folder or a TensorRT plan.

    Args:
        path: any of these.
        trust: load a plan, which can execute code that it holds. Defaults to False: it is seen from outside.
        onnx: with `trust`, the graph that the plan was built from. Defaults to none: its weights stay unknown.
        tensorrt: release that an ONNX file or bundle is judged for, such as `10.13`. Defaults to any.

    Raises:
        UserError: `path` is none of these, or is damaged; nothing is known of the release.
        MissingError: a plan is to be loaded, and TensorRT or the GPU is missing.
    """
    release = find_release(tensorrt) if tensorrt is not None else None
    if (path / ENGINE).is_file():
        return _engine(path)
    if (path / bundles.MANIFEST).is_file():
        return _bundle(path, release)
    if path.is_dir():
        raise UserError("This folder holds neither a bundle nor an engine.", where=str(path),
                        fix="Give an ONNX file, a bundle (RUN/bundle) or an engine (RUN/engines/NAME).")
    if path.is_file() and (path.suffix in SUFFIXES or plan_header(path).plan):
        return inspect_loaded_plan(path, onnx) if trust else inspect_plan(path)
    sizes = {path.name: path.stat().st_size if path.is_file() else 0}
    return _graph("onnx", Context(load(path), release), path, sizes, [])


def _engine(folder: Path) -> Inspection:
    record = read_engine(folder)
    notes = [f"{record.backend} on {record.device}, built from bundle {record.bundle_digest[:12]}", *record.notes]
    if not record.engine.endswith(".onnx"):
        return inspect_folder(folder, record, notes)
    found = _graph("engine", Context(load(folder / record.engine)), folder, record.sizes, notes)
    known = {layer.name: layer for layer in record.layers}
    layers = [layer.model_copy(update={"evidence": known.get(layer.name), "prediction": None})
              for layer in found.layers]
    return found.model_copy(update={"layers": layers, "findings": anywhere(found.findings)})


def _bundle(folder: Path, release: Release | None) -> Inspection:
    source = bundles.read(folder)
    names = [*source.manifest.files, bundles.MANIFEST]
    notes = [f"network {source.manifest.name}"]
    for stage, metrics in source.manifest.metrics.items():
        notes.append(f"{stage}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    context = Context(load(source.model), release)
    found = _graph("bundle", context, folder, {name: (folder / name).stat().st_size for name in names}, notes)
    broken = broken_promises(source.manifest.layers, list(context.sparsity.values()))
    return found.model_copy(update={"findings": by_severity([*broken, *found.findings])})


def _graph(
    kind: Literal["onnx", "bundle", "engine"], context: Context, path: Path, sizes: dict[str, int], notes: list[str]
) -> Inspection:
    expected = predictions(context)
    layers = [_layer(found, expected.get(node)) for node, found in context.sparsity.items()]
    return Inspection(kind=kind, path=str(path), sizes=sizes, layers=layers, qdq=count(context.model), notes=notes,
                      findings=examine(context))


def _layer(found: Sparsity, expected: Prediction | None) -> InspectedLayer:
    return InspectedLayer(
        name=found.name, op=found.op, shape=list(found.shape), two_four=found.two_four, groups=found.groups,
        violations=found.violations, zeros=found.zeros, quantized=found.quantized, reason=found.reason,
        prediction=expected,
    )


__all__ = ["InspectedLayer", "Inspection", "inspect", "inspect_plan_information", "layer_rows", "more_rows"]
