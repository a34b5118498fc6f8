"""From a bundle to an engine folder: `engine.onnx`, `fp32.onnx` and, last of all, `engine.json`."""

from __future__ import annotations

import os
from pathlib import Path

from ...common import files, machine
from ...common.bundle import Bundle
from ...export.graph.load import load
from ...export.graph.save import save
from ...export.graph.strip_qdq import strip_qdq
from ..config import OnnxRuntimeConfig
from ..records import ENGINE, EngineRecord, LayerEvidence
from .evidence import inspect_layers
from .passes import prepare

_ENGINE, _BASELINE = "engine.onnx", "fp32.onnx"


def build_engine(bundle: Bundle, config: OnnxRuntimeConfig, folder: Path, device: str) -> EngineRecord:
    """Build the engine.

    Args:
        bundle: what training shipped.
        config: threads.
        folder: where to; files of an earlier build are replaced one by one, each whole.
        device: name of the device, for the record.

    Raises:
        UserError: the bundle's model is damaged, or `folder` can't be written.
    """
    with files.explained(folder / ENGINE):
        (folder / ENGINE).unlink(missing_ok=True)  # a build that is stopped half-way leaves no engine on record
    baseline, model = load(bundle.model), load(bundle.model)
    strip_qdq(baseline)
    written = save(baseline, folder / _BASELINE)
    notes = prepare(model)
    written += save(model, folder / _ENGINE)
    layers = inspect_layers(model, folder / _ENGINE, config.threads)
    record = EngineRecord(
        backend="onnxruntime", device=device, name=bundle.manifest.name, bundle_digest=bundle.digest,
        bundle=os.path.relpath(bundle.folder.resolve(), folder.resolve()), options=config,
        engine=_ENGINE, baseline=_BASELINE, files=files.hashes(folder, written),
        sizes={name: (folder / name).stat().st_size for name in written},
        machine=machine.describe(), layers=layers, notes=[*notes, _summary(layers)],
    )
    files.write_json(folder / ENGINE, record.model_dump(mode="json"))
    return record


def _summary(layers: list[LayerEvidence]) -> str:
    integer = sum(layer.precision == "int8" for layer in layers)
    rest = [f"{layer.name} ({layer.kernel or 'float'})" for layer in layers if layer.precision != "int8"]
    return f"{integer} of {len(layers)} weighted layers run on integers" + (f"; not: {', '.join(rest)}" if rest else "")


__all__ = ["build_engine"]
