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
from ..common.bundle import Layer, Manifest, Range, Tensor
from ..common.errors import TwofourError, UserError
from ..common.images import Features
from ..common.machine import versions
from ..common.metric import DISTANCE, METRICS, PICTURES
from .bundle_writer import publish, workshop
from .config import ExportConfig
from .graph.load import load
from .graph.two_four import check
from .graph.values import constant, is_op
from .measured import measured
from .pictures import write_features, write_pictures
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
        metric: name of the task metric.
        metrics: what every training stage reached.
        dense: makes the network before pruning and quantization, whose metric on the bundle's samples is recorded; it
            is let go before the export begins. Defaults to none.
        span: of a network that makes pictures, the least and the largest value of one. Defaults to not known.
        features: what pictures are measured in. Defaults to none.
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
    span: tuple[float, float] | None = None
    features: Features | None = None

    @property
    def pictures_span(self) -> tuple[float, float] | None:
        """The span, where the answers are pictures.

        Raises:
            UserError: they are, and it is not known.
        """
        if self.metric not in PICTURES:
            return None
        if self.span is None:
            raise UserError(f"The metric {self.metric} needs the least and the largest value of a picture.",
                            fix="Give the request a `span`.")
        return self.span

    @property
    def data_range(self) -> float | None:
        """Of the pictures; None where the answers are none."""
        span = self.pictures_span
        return None if span is None else span[1] - span[0]


def export_bundle(request: ExportRequest, folder: Path) -> Manifest:
    """Export the network, check the graph, record PyTorch's answers and write the bundle into `folder`.

    Raises:
        UserError: the network can't be exported, the loader gives nothing usable, or the folder can't be written.
        TwofourError: a layer that was pruned is not 2:4 in the exported file.
    """
    if request.metric not in METRICS:
        raise UserError(f"There is no metric called {request.metric!r}.", fix=f"Known: {', '.join(METRICS)}.")
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
    value = _measured(request, answers, targets)
    chosen = subset(len(targets), config.reference_samples)
    dense, shown = _dense(request, by_name, inputs, targets, chosen[: bundle.SHOWN])
    reference, recorded = ({name: value[chosen] for name, value in whole.items()} for whole in (inputs, answers))
    names = _export(request, by_name, inputs, place / bundle.MODEL)
    model = _verified(place / bundle.MODEL, request.layers)  # its large weights stay on disk
    files.save_npz(place / bundle.REFERENCE, _grouped("inputs", reference) | _grouped("outputs", recorded))
    files.save_npz(place / bundle.EVAL, _grouped("inputs", inputs) | {"targets": targets})
    few = {name: value[: config.layer_samples] for name, value in reference.items()}
    files.save_npz(place / bundle.LAYERS, recorder.layers(few, activations(model)))
    names = [*names, bundle.REFERENCE, bundle.EVAL, bundle.LAYERS]
    if request.data_range is not None:
        names += write_pictures(place, reference, targets[chosen], next(iter(recorded.values())), shown)
        names += write_features(place, request.features)
    distances = {"pytorch": value, "dense": dense}
    manifest = Manifest(
        name=request.name, files=files.hashes(place, names), inputs=_tensors(model.graph.inputs),
        outputs=_tensors(model.graph.outputs), layers=request.layers, ranges=request.ranges, metric=request.metric,
        metrics=request.metrics, eval_metric=value[request.metric], dense_eval_metric=dense.get(request.metric),
        noise_floor=recorder.noise_floor(reference, recorded, request.data_range), span=request.pictures_span,
        feature_distances={name: one[DISTANCE] for name, one in distances.items() if DISTANCE in one},
        versions=versions(),
    )
    publish(place, folder, names, manifest)
    return manifest


def _measured(request: ExportRequest, answers: Mapping[str, Array], targets: Array) -> dict[str, float]:
    return measured(request.metric, answers, targets, request.data_range, request.features)


def _dense(
    request: ExportRequest, by_name: bool, inputs: dict[str, Array], targets: Array, shown: list[int]
) -> tuple[dict[str, float], Array | None]:
    """What the dense network reaches, and its answers to the samples that are shown; nothing where there is none."""
    if request.dense is None:
        return {}, None
    answers = Recorder(request.dense(), by_name=by_name).answer(inputs, "dense answers")
    return _measured(request, answers, targets), next(iter(answers.values()))[shown]


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


__all__ = ["ExportRequest", "activations", "export_bundle"]
