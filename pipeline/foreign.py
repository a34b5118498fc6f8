"""The export stage of a network that came quantized, as an ONNX file: converted, run, and written as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ..common import bundle, console, files
from ..common.agreement import agreement, predictions
from ..common.bundle import Agreement, Manifest, Source
from ..common.errors import TwofourError, UserError
from ..common.machine import versions
from ..export.bundle_writer import publish, workshop
from ..export.foreign.convert import Converted, convert
from ..export.foreign.describe import activations_of, fixed_batch, inputs_of, layers_of, ranges_of, tensors_of
from ..export.graph.load import load
from ..export.graph.save import save
from ..export.reservoir import subset
from .foreign_samples import Samples, gather
from .onnx_recipe import OnnxRecipe
from .references import Reference, disturbed, runtime_name

Array = np.ndarray[Any, Any]
OWN = "agreement_with_source"


def foreign_stage(recipe: OnnxRecipe, folder: Path) -> dict[str, float]:
    """Write the bundle of the recipe's ONNX file into `folder`.

    The reference answers are the file's own, on ONNX Runtime with its optimizations off. Without targets the file's
    predictions stand for them, and the metric is called `agreement_with_source`, since it is no accuracy.

    Returns:
        The metric of the file on the bundle's samples.

    Raises:
        UserError: the file can't be used or converted, or the samples don't fit it.
        TwofourError: a conversion that must be exact was not.
    """
    path = Path(recipe.model.onnx)
    given = load(path)
    producer = " ".join(part for part in (given.producer_name, given.producer_version) if part) or "unknown"
    converted = convert(given, str(path))
    for note in converted.notes:
        console.say(f"converted: {note}")
    batch = fixed_batch(converted.model)
    samples = gather(recipe, tensors_of(inputs_of(converted.model)), batch)
    with workshop(folder) as place:
        return _write(recipe, path, producer, converted, samples, batch, place, folder)


def _write(
    recipe: OnnxRecipe, path: Path, producer: str, converted: Converted, samples: Samples, batch: int | None,
    place: Path, folder: Path,
) -> dict[str, float]:
    chosen = subset(len(next(iter(samples.inputs.values()))), recipe.export.reference_samples)
    inputs = _rows(samples.inputs, chosen)
    answers, noisy = _answers(path, batch, samples.inputs, disturbed(inputs))
    outputs, scores = _rows(answers, chosen), next(iter(answers.values()))
    targets = predictions(scores) if samples.targets is None else samples.targets
    metric, value = (OWN, 1.0) if samples.targets is None else ("accuracy", _accuracy(scores, targets))
    names = save(converted.model, place / bundle.MODEL)
    alike = _alike(path, Reference(place / bundle.MODEL, batch), inputs, outputs, converted)
    files.save_npz(place / bundle.REFERENCE, _grouped("inputs", inputs) | _grouped("outputs", outputs))
    files.save_npz(place / bundle.EVAL, _grouped("inputs", samples.inputs) | {"targets": targets})
    few = _few(inputs, batch or recipe.export.layer_samples, batch)
    files.save_npz(place / bundle.LAYERS, _layers(converted.model, place, few, batch) if few else {})
    names = [*names, bundle.REFERENCE, bundle.EVAL, bundle.LAYERS]
    manifest = Manifest(
        name=recipe.name, files=files.hashes(place, names), inputs=tensors_of(inputs_of(converted.model)),
        outputs=tensors_of(converted.model.graph.outputs), layers=layers_of(converted.model),
        ranges=ranges_of(converted.model), metric=metric, metrics={}, eval_metric=value,
        noise_floor=agreement(outputs, noisy), versions=versions(),
        source=Source(
            file=path.name, sha256=files.sha256(path), producer=producer, runtime=runtime_name(),
            targets="source" if samples.targets is None else "given", inputs=samples.origin, notes=converted.notes,
            agreement=alike,
        ),
    )
    publish(place, folder, names, manifest)
    return {metric: value}


def _answers(
    path: Path, batch: int | None, inputs: Mapping[str, Array], noisy: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The file's answers to both, from a session that is closed before the next one opens: each holds the weights."""
    source = Reference(path, batch)
    return source.answer(inputs, "reference answers"), source.answer(noisy, "noise floor")


def _accuracy(scores: Array, targets: Array) -> float:
    classes = predictions(scores)
    if classes.shape != targets.shape:
        raise UserError(f"The network predicts classes of shape {classes.shape}, but the targets have {targets.shape}.")
    return float(np.mean(classes == targets))


def _alike(
    path: Path, bundled: Reference, inputs: Mapping[str, Array], outputs: Mapping[str, Array], converted: Converted
) -> Agreement:
    found = agreement(outputs, bundled.answer(inputs, "conversion"))
    if converted.exact and found.snr_db is not None:
        del bundled  # no two sessions at once
        _check_alone(path, inputs, outputs, converted)
        raise TwofourError("The converted graph doesn't answer as the file does, though every conversion is exact.")
    if found.snr_db is not None:
        console.warn(f"in FP32 the network predicts as the file does in {found.predictions:.2%} of the reference "
                     f"samples ({found.snr_db:.1f} dB): the file rounds to 16 bits between its layers.")
    return found


def _check_alone(
    path: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Array], converted: Converted
) -> None:
    """`outputs` were the file's own answers to these samples, but among others."""
    again = Reference(path, fixed_batch(converted.model)).answer(inputs, "the file, once more")
    if agreement(outputs, again).snr_db is not None:
        raise UserError(
            "This network answers a sample differently when other samples stand beside it, so that no answer can be "
            "recorded: an input is no batch of samples (weights that come as an input, say), or the network mixes them "
            "or draws random numbers.",
            where=str(path), fix="Make such inputs constants of the graph, and let the first axis of every other one "
            "be that of the samples.",
        )


def _layers(model: ir.Model, place: Path, inputs: Mapping[str, Array], batch: int | None) -> dict[str, Array]:
    """What the network holds at every activation quantizer, and its outputs."""
    names, outputs = activations_of(model), [str(value.name) for value in model.graph.outputs]
    inner = [name for name in names if name not in outputs]
    path = place / bundle.MODEL
    proto = onnx.load(str(path), load_external_data=False)
    for name in inner:
        proto.graph.output.add().name = name
    probe = path.with_name("probe.onnx")  # beside the weights' file, which it shares; only listed files are published
    onnx.save(proto, str(probe))
    found = Reference(probe, batch, [*inner, *outputs]).once(inputs)
    probe.unlink()
    return _grouped("tensors", {name: found[name] for name in inner}) | _grouped(
        "outputs", {name: found[name] for name in outputs}
    )


def _few(inputs: dict[str, Array], count: int, batch: int | None) -> dict[str, Array]:
    """The samples that are recorded layer by layer, in one inference; none where they don't fill a fixed batch."""
    found = min(count, len(next(iter(inputs.values()))))
    return {} if batch is not None and found < batch else _rows(inputs, np.arange(found))


def _rows(arrays: Mapping[str, Array], chosen: Any) -> dict[str, Array]:
    return {name: value[chosen] for name, value in arrays.items()}


def _grouped(group: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{group}/{name}": value for name, value in arrays.items()}


__all__ = ["OWN", "foreign_stage"]
