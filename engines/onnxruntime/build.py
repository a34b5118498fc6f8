"""From a bundle to an engine folder: `engine.onnx`, `fp32.onnx` and, last of all, `engine.json`."""

from __future__ import annotations

import os
from pathlib import Path

import onnx_ir as ir

from ...common import files, machine
from ...common.bundle import Bundle
from ..config import EngineConfig
from ..records import ENGINE, EngineRecord, LayerEvidence
from .evidence import kernels, layers
from .interim import int8_weights, strip_qdq, two_four
from .model import read_model, write_model
from .passes import prepare

_ENGINE, _BASELINE = "engine.onnx", "fp32.onnx"
_DENSE_KERNELS = "ONNX Runtime's CPU kernels are dense: they multiply the zeros too"


def build_engine(bundle: Bundle, config: EngineConfig, folder: Path, device: str) -> EngineRecord:
    """Build the engine.

    Args:
        bundle: what training shipped.
        config: threads.
        folder: where to; files of an earlier build are replaced one by one, each whole.
        device: name of the device, for the record.

    Raises:
        UserError: the bundle's model is damaged, or `folder` can't be written.
    """
    (folder / ENGINE).unlink(missing_ok=True)
    baseline = read_model(bundle.model)
    strip_qdq(baseline)
    write_model(baseline, folder / _BASELINE)
    model = read_model(bundle.model)
    int8_weights(model)
    sparsity = {str(node.name): two_four(node) for node, _ in layers(model)}
    notes = prepare(model)
    write_model(model, folder / _ENGINE)
    evidence = _evidence(model, sparsity, folder / _ENGINE, config)
    record = _record(bundle, config, folder, device, evidence, [*notes, *_summary(evidence)])
    files.write_json(folder / ENGINE, record.model_dump(mode="json"))
    return record


def _evidence(
    model: ir.Model, sparsity: dict[str, tuple[bool, float, str]], path: Path, config: EngineConfig
) -> list[LayerEvidence]:
    roots = {str(node.name): (node, root) for node, root in layers(model)}
    found = kernels(path, {name: str(root.name) for name, (_, root) in roots.items()}, config.threads)
    evidence = []
    for name, (node, root) in roots.items():
        kernel, precision = found[name]
        two_four, zeros, reason = sparsity[name]
        evidence.append(
            LayerEvidence(
                name=name, op=node.op_type, shape=[int(size) for size in root.shape or ()], two_four=two_four,
                zeros=zeros, precision=precision, kernel=kernel, ran_sparse="no", reason=f"{reason}; {_DENSE_KERNELS}",
            )
        )
    return evidence


def _summary(evidence: list[LayerEvidence]) -> list[str]:
    integer = sum(layer.precision == "int8" for layer in evidence)
    rest = [f"{layer.name} ({layer.kernel})" for layer in evidence if layer.precision != "int8"]
    return [f"{integer} of {len(evidence)} weighted layers run on integers" + (f"; not: {', '.join(rest)}" if rest else "")]


def _record(
    bundle: Bundle, config: EngineConfig, folder: Path, device: str, evidence: list[LayerEvidence], notes: list[str]
) -> EngineRecord:
    names = [_ENGINE, _BASELINE]
    return EngineRecord(
        backend="onnxruntime",
        device=device,
        name=bundle.manifest.name,
        bundle=os.path.relpath(bundle.folder, folder),
        bundle_digest=bundle.digest,
        options=config,
        engine=_ENGINE,
        baseline=_BASELINE,
        files=files.hashes(folder, names),
        sizes={name: (folder / name).stat().st_size for name in names},
        machine=machine.describe(),
        layers=evidence,
        notes=notes,
    )


__all__ = ["build_engine"]
