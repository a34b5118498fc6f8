"""What is in this file or folder? The 2:4 table of its layers, its Q/DQ pairs, sizes, and an engine's evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..common import bundle as bundles
from ..common.bundle import Layer
from ..common.errors import UserError
from ..export.graph.load import load
from ..export.graph.two_four import Sparsity, check
from .inspect_rows import layer_rows, more_rows
from .inspection import InspectedLayer, Inspection
from .qdq import Fault, count, faults
from .records import ENGINE, read_engine
from .tensorrt.inspect import inspect_folder, inspect_loaded_plan, inspect_plan, inspect_plan_information
from .tensorrt.plan_header import SUFFIXES, plan_header


def inspect(path: Path, *, trust: bool = False, onnx: Path | None = None) -> Inspection:
    """Look into an ONNX file, a bundle folder, an engine folder or a TensorRT plan.

    Args:
        path: any of these.
        trust: load a plan, which can execute code that it holds. Defaults to False: it is seen from outside.
        onnx: with `trust`, the graph that the plan was built from. Defaults to none: its weights stay unknown.

    Raises:
        UserError: `path` is none of these, or is damaged.
        MissingError: a plan is to be loaded, and TensorRT or the GPU is missing.
    """
    if (path / ENGINE).is_file():
        return _engine(path)
    if (path / bundles.MANIFEST).is_file():
        return _bundle(path)
    if path.is_dir():
        raise UserError("This folder holds neither a bundle nor an engine.", where=str(path),
                        fix="Give an ONNX file, a bundle (RUN/bundle) or an engine (RUN/engines/NAME).")
    if path.is_file() and (path.suffix in SUFFIXES or plan_header(path).plan):
        return inspect_loaded_plan(path, onnx) if trust else inspect_plan(path)
    return _graph("onnx", path, path, {path.name: path.stat().st_size if path.is_file() else 0}, [])


def _engine(folder: Path) -> Inspection:
    record = read_engine(folder)
    notes = [f"{record.backend} on {record.device}, built from bundle {record.bundle_digest[:12]}", *record.notes]
    if not record.engine.endswith(".onnx"):
        return inspect_folder(folder, record, notes)
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


__all__ = ["InspectedLayer", "Inspection", "inspect", "inspect_plan_information", "layer_rows", "more_rows"]
