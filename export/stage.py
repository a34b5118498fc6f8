"""The export stage: a quantized network becomes a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from ..common import bundle, console, files
from ..common.agreement import predictions
from ..common.bundle import Layer, Manifest, Range, Tensor
from ..common.errors import TwofourError, UserError
from ..common.machine import versions
from .bundle_writer import publish, workshop
from .config import ExportConfig
from .graph.load import load
from .graph.two_four import check
from .graph.values import constant, is_op
from .recorder import Recorder
from .reservoir import subset
from .samples import collect
from .torch_onnx import export_file

Array = np.ndarray[Any, Any]
_BITS = 8


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        name: the bundle's name.
        network: quantized and calibrated.
        val: re-iterable loader of (inputs, targets); inputs are a tensor, a tuple or a dict of tensors, batch first.
        config: exporter, opset and numbers of samples.
        layers: which layers were pruned to 2:4, and why others were not.
        ranges: the quantizers' calibrated ranges.
        metric: name of the task metric; `accuracy` is the one there is.
        metrics: what every training stage reached.
        dense: makes the network before pruning and quantization, whose metric on the bundle's samples is recorded; it
            is let go before the export begins. Defaults to none.
    """

    name: str
    network: nn.Module
    val: Iterable[Any]
    config: ExportConfig
    layers: list[Layer]
    ranges: list[Range]
    metric: str
    metrics: dict[str, dict[str, float]]
    dense: Callable[[], nn.Module] | None = None


def export_bundle(request: ExportRequest, folder: Path) -> Manifest:
    """Export the network, check the graph, record PyTorch's answers and write the bundle into `folder`.

    Raises:
        UserError: the network can't be exported, the loader gives nothing usable, or the folder can't be written.
        TwofourError: a layer that was pruned is not 2:4 in the exported file.
    """
    if request.metric != "accuracy":
        raise UserError(f"There is no metric called {request.metric!r}.", fix="Known: accuracy.")
    for entry in request.ranges:
        if entry.bits != _BITS:
            raise UserError(f"This quantizer has {entry.bits} bits: it is fake quantization, to measure accuracy with.",
                            where=entry.tensor, fix="Calibrate it with 8 bits to export it.")
    training = request.network.training
    try:
        inputs, targets = collect(request.network, request.val, request.config.eval_samples)
        with workshop(folder) as place:
            return _write(request, _by_name(request.val), inputs, targets, place, folder)
    finally:
        request.network.train(training)


def _by_name(loader: Iterable[Any]) -> bool:
    return isinstance(next(iter(loader))[0], Mapping)


def _write(
    request: ExportRequest, by_name: bool, inputs: dict[str, Array], targets: Array, place: Path, folder: Path
) -> Manifest:
    config, recorder = request.config, Recorder(request.network, by_name=by_name)
    answers = recorder.answer(inputs, "reference answers")
    dense = _dense_metric(request, by_name, inputs, targets)
    chosen = subset(len(targets), config.reference_samples)
    reference, recorded = ({name: value[chosen] for name, value in whole.items()} for whole in (inputs, answers))
    names = _export(request, by_name, inputs, place / bundle.MODEL)
    model = _verified(place / bundle.MODEL, request.layers)  # its large weights stay on disk
    files.save_npz(place / bundle.REFERENCE, _grouped("inputs", reference) | _grouped("outputs", recorded))
    files.save_npz(place / bundle.EVAL, _grouped("inputs", inputs) | {"targets": targets})
    few = {name: value[: config.layer_samples] for name, value in reference.items()}
    files.save_npz(place / bundle.LAYERS, recorder.layers(few, activations(model)))
    names = [*names, bundle.REFERENCE, bundle.EVAL, bundle.LAYERS]
    manifest = Manifest(
        name=request.name, files=files.hashes(place, names), inputs=_tensors(model.graph.inputs),
        outputs=_tensors(model.graph.outputs), layers=request.layers, ranges=request.ranges, metric=request.metric,
        metrics=request.metrics, eval_metric=accuracy(answers, targets),
        dense_eval_metric=dense,
        noise_floor=recorder.noise_floor(reference, recorded), versions=versions(),
    )
    publish(place, folder, names, manifest)
    return manifest


def _dense_metric(request: ExportRequest, by_name: bool, inputs: dict[str, Array], targets: Array) -> float | None:
    if request.dense is None:
        return None
    return accuracy(Recorder(request.dense(), by_name=by_name).answer(inputs, "dense answers"), targets)


def _export(request: ExportRequest, by_name: bool, inputs: dict[str, Array], path: Path) -> list[str]:
    console.say(f"export: tracing the network ({request.config.exporter})")
    example = {name: torch.from_numpy(value[:2].copy()) for name, value in inputs.items()}
    return export_file(request.network, example if by_name else tuple(example.values()), request.config, path)


def _verified(path: Path, layers: list[Layer]) -> ir.Model:
    try:
        model = load(path)
    except UserError as error:
        raise TwofourError(f"The exported graph is not valid ONNX: {error.what}") from error
    found = {item.name: item for item in check(model)}
    for layer in layers:
        if not layer.sparse:
            continue
        if layer.name not in found:
            raise TwofourError("This layer was pruned, but no node has its name in the ONNX file.", where=layer.name)
        if not found[layer.name].two_four:
            raise TwofourError(
                f"This layer was pruned, but is not 2:4 in the ONNX file: {found[layer.name].reason}.", where=layer.name
            )
    return model


def activations(model: ir.Model) -> set[str]:
    """The names of the quantizers of activations: those whose input is no constant."""
    quantizes = [node for node in model.graph if is_op(node, "QuantizeLinear") and constant(node.inputs[0]) is None]
    return {str(node.name).removesuffix("/QuantizeLinear") for node in quantizes}


def accuracy(outputs: Mapping[str, Array], targets: Array) -> float:
    """Share of right classes, from the first output.

    Raises:
        UserError: the targets' shape is not that of the predictions.
    """
    classes = predictions(next(iter(outputs.values())))
    if classes.shape != targets.shape:
        raise UserError(f"The network predicts classes of shape {classes.shape}, but the targets have {targets.shape}.")
    return float(np.mean(classes == targets))


def _grouped(group: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{group}/{name}": value for name, value in arrays.items()}


def _tensors(values: Iterable[ir.Value]) -> list[Tensor]:
    described = []
    for value in values:
        assert value.dtype is not None
        dims = list(value.shape) if value.shape is not None else []
        shape = [dim if isinstance(dim, int) else str(dim.value) for dim in dims]
        described.append(Tensor(name=str(value.name), dtype=str(np.dtype(value.dtype.numpy())), shape=shape))
    return described


__all__ = ["ExportRequest", "accuracy", "activations", "export_bundle"]
