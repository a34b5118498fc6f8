"""Where do TensorRT and PyTorch part? A second plan shows the codes at every activation quantizer as it runs.

The integer tensors behind the quantizers are marked, since they lie between fused layers already: marking them keeps
the fusion that is under suspicion. (TensorRT can also mark all that its fusion leaves, but tells those by names of its
own only.) A marked plan is built anew all the same, so its kernels may differ from those of the engine.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...common import bundle as bundles
from ...common import console
from ...common.agreement import snr_db
from ...common.bundle import Bundle
from ...common.errors import MissingError, UserError
from ..answers import count_of
from ..config import TensorRTConfig
from ..cuda.api import CudaError
from ..cuda.memory import download
from ..cuda.stream import Stream
from ..records import EngineRecord, LayerDifference
from ..segments import Boundary, boundaries
from .build_plan import build_plan
from .capabilities import capabilities, tensorrt
from .plan import open_plan
from .ports import dtype_of
from .runner import TensorRTRunner
from .typed import TYPED

Array = np.ndarray[Any, Any]


def compare_layers(folder: Path, record: EngineRecord, source: Bundle) -> list[LayerDifference]:
    """Compare TensorRT, run from the inputs on, with PyTorch at every activation quantizer and every output.

    Differences add up from layer to layer: the first that is large is where to look. Builds a plan, which takes as long
    as the engine's own build; nothing is written.

    Args:
        folder: the engine's folder, with the graph that TensorRT got.
        record: its `engine.json`.
        source: the bundle; without `layers.npz` the answer is empty.

    Raises:
        UserError: the recorded values don't fit the engine, or its graph isn't there.
        MissingError: TensorRT or the GPU is missing, or lacks memory or a feature.
        CudaError: CUDA or TensorRT failed.
    """
    if bundles.LAYERS not in source.manifest.files:
        return []
    if TYPED not in record.files:
        raise UserError(f"The engine's folder holds no {TYPED}, so its layers can't be looked into.", where=str(folder),
                        fix="Build it again with `twofour build`.")
    if not capabilities().debug_tensors:
        raise MissingError(f"TensorRT {capabilities().version} shows no tensors inside of a network.",
                           fix="Install a newer TensorRT.")
    assert isinstance(record.options, TensorRTConfig)
    recorded, outputs = source.arrays(bundles.LAYERS, "tensors"), source.arrays(bundles.LAYERS, "outputs")
    cuts = boundaries(onnx.load(str(folder / TYPED)), recorded.keys())
    count = count_of(outputs)
    inputs = {name: value[:count] for name, value in source.arrays(bundles.REFERENCE, "inputs").items()}
    found = _run(folder / TYPED, source, record.options, [cut.codes for cut in cuts], inputs)
    rows = [_at(cut, recorded[cut.name], found[cut.codes]) for cut in cuts if cut.codes in found]
    if len(rows) < len(cuts):
        console.warn(f"TensorRT shows {len(rows)} of {len(cuts)} quantizers; the others were fused away.")
    return rows + [_at_output(name, value, found) for name, value in outputs.items()]


def _run(
    typed: Path, source: Bundle, config: TensorRTConfig, names: Collection[str], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """The marked tensors that TensorRT showed, and the outputs, of all samples."""
    built = build_plan(typed, source.manifest.inputs, config, label="build with debug tensors",
                       on_network=lambda network: _mark(network, set(names)))
    opened = open_plan(built.plan, config, str(typed))
    runner = TensorRTRunner(opened.engine, log=opened.log, where=str(typed), keep=opened.keep)
    with runner:
        count = count_of(inputs)
        low, _, high = runner.batches or (runner.max_batch or count,) * 3
        parts = []
        for start in range(0, count, high):
            samples = min(high, count - start)
            rows = np.arange(start, start + max(samples, low)) % count
            shown = _watch(runner, {name: value[rows] for name, value in inputs.items()})
            parts.append({name: value[: len(value) * samples // len(rows)] for name, value in shown.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _mark(network: Any, names: set[str]) -> None:
    for place in range(network.num_layers):
        layer = network.get_layer(place)
        for index in range(layer.num_outputs):
            tensor = layer.get_output(index)
            if tensor is not None and tensor.name in names:
                network.mark_debug(tensor)  # what it refuses isn't shown, which is told in the end


def _watch(runner: TensorRTRunner, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """One inference: the marked tensors and the outputs."""
    with runner.prepare(inputs) as prepared, Stream() as stream:
        listener, context = _listener(), prepared.context
        if not context.set_debug_listener(listener) or not context.set_all_tensors_debug_state(True):
            raise CudaError("TensorRT refuses to show the tensors that were marked.")
        prepared.upload(stream)
        prepared.enqueue(stream)
        prepared.download(stream)
        stream.synchronize()
        if listener.error is not None:
            raise listener.error
        return {**listener.found, **prepared.outputs()}


def _listener() -> Any:
    trt = tensorrt()

    class Listener(trt.IDebugListener):  # type: ignore[misc, name-defined]
        """Copies each tensor while it is there; keeps the first error, since the bindings swallow what is raised."""

        def __init__(self) -> None:
            trt.IDebugListener.__init__(self)
            self.found: dict[str, Array] = {}
            self.error: Exception | None = None

        def process_debug_tensor(
            self, addr: int, location: Any, type: Any, shape: Any, name: str, stream: int  # noqa: A002
        ) -> bool:
            try:
                answer = np.empty(tuple(shape), dtype_of(type, name))
                _copy(answer, addr, stream, on_host=location == trt.TensorLocation.HOST)
                self.found[name] = answer
            except Exception as error:  # to be raised where it isn't swallowed
                self.error = self.error or error
            return True

    return Listener()


def _copy(answer: Array, address: int, stream: int, *, on_host: bool) -> None:
    theirs = Stream.borrowed(stream)
    if on_host:
        theirs.synchronize()
        ctypes.memmove(answer.ctypes.data, address, answer.nbytes)
    else:
        download(answer, address, theirs)
        theirs.synchronize()


def _at(cut: Boundary, recorded: Array, found: Array) -> LayerDifference:
    expected = cut.steps_of(recorded)
    codes = found.astype(np.float64) - cut.zero_point
    _fits(cut.name, expected, codes)
    return LayerDifference(tensor=cut.name, snr_db=None, codes_differ=float(np.mean(expected != codes)),
                           chained_snr_db=snr_db(expected, codes), fed=False)


def _at_output(name: str, recorded: Array, found: Mapping[str, Array]) -> LayerDifference:
    if name not in found:
        raise UserError(f"The engine has no output {name!r}.", fix="Build the engine again from this bundle.")
    _fits(name, recorded, found[name])
    return LayerDifference(tensor=name, snr_db=None, codes_differ=None, chained_snr_db=snr_db(recorded, found[name]),
                           fed=False)


def _fits(name: str, recorded: Array, computed: Array) -> None:
    if recorded.shape != computed.shape:
        raise UserError(f"{name}: recorded with shape {recorded.shape}, the engine makes {computed.shape}.",
                        where=bundles.LAYERS, fix="Export the bundle again and build the engine from it.")


__all__ = ["compare_layers"]
