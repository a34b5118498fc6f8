"""Where do the engine and PyTorch part? Each piece run alone on PyTorch's own values, and all in a row."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from ..common import bundle as bundles
from ..common.agreement import snr_db
from ..common.bundle import Bundle
from ..common.errors import TwofourError, UserError
from . import backend as backends
from .backend import Arrays, Backend
from .config import EngineConfig
from .records import LayerDifference
from .segments import Boundary, boundaries, cut, with_codes

Array = np.ndarray[Any, Any]


def compare_layers(engine: Path, source: Bundle, config: EngineConfig) -> list[LayerDifference]:
    """Compare an engine that is an ONNX file with PyTorch at every activation quantizer and every output.

    Fed: the pieces between quantizers each take PyTorch's recorded values, so a difference at one is that piece's own.
    Chained: the engine runs from the inputs on, so differences add up.

    Args:
        engine: the engine's ONNX file; its quantizers carry PyTorch's names.
        source: the bundle; without `layers.npz` the answer is empty.
        config: the engine's options; its backend runs the pieces.

    Raises:
        UserError: the recorded values don't fit the engine.
    """
    if bundles.LAYERS not in source.manifest.files:
        return []
    recorded, outputs = source.arrays(bundles.LAYERS, "tensors"), source.arrays(bundles.LAYERS, "outputs")
    count = min((len(value) for value in outputs.values()), default=0)
    if count == 0:
        return []
    inputs = {name: value[:count] for name, value in source.arrays(bundles.REFERENCE, "inputs").items()}
    model = onnx.load(str(engine))
    cuts = boundaries(model, recorded.keys())
    runs = backends.find(config.backend)
    fed = {boundary.fed: recorded[boundary.name].astype(np.float32) for boundary in cuts}
    alone = _run(cut(model, cuts), {**inputs, **fed}, runs, config)
    chained = _run(with_codes(model, cuts), inputs, runs, config)
    at_cuts = [_at(boundary, recorded[boundary.name], alone, chained) for boundary in cuts]
    return at_cuts + [_at_output(name, value, alone, chained) for name, value in outputs.items()]


def _run(model: onnx.ModelProto, inputs: Arrays, runs: Backend, config: EngineConfig) -> dict[str, Array]:
    with TemporaryDirectory(prefix="twofour-") as folder:
        path = Path(folder) / "pieces.onnx"
        onnx.save(model, str(path))
        runner = runs.load(path, config)
        try:
            return runner.infer(inputs)
        except TwofourError:
            raise
        except Exception as error:  # each runtime has errors of its own
            raise UserError(f"The values recorded in {bundles.LAYERS} don't fit this engine: {error}",
                            fix="Build the engine again from this bundle.") from error
        finally:
            runner.close()


def _at(boundary: Boundary, recorded: Array, alone: dict[str, Array], chained: dict[str, Array]) -> LayerDifference:
    expected = boundary.steps_of(recorded)
    own = alone[boundary.computed].astype(np.float64) - boundary.zero_point
    late = chained[boundary.codes].astype(np.float64) - boundary.zero_point
    _fits(boundary.name, expected, own)
    return LayerDifference(
        tensor=boundary.name, snr_db=snr_db(expected, own), codes_differ=float(np.mean(expected != own)),
        chained_snr_db=snr_db(expected, late),
    )


def _at_output(name: str, recorded: Array, alone: dict[str, Array], chained: dict[str, Array]) -> LayerDifference:
    if name not in alone:
        raise UserError(f"The engine has no output {name!r}.", fix="Build the engine again from this bundle.")
    _fits(name, recorded, alone[name])
    return LayerDifference(
        tensor=name, snr_db=snr_db(recorded, alone[name]), codes_differ=None,
        chained_snr_db=snr_db(recorded, chained[name]),
    )


def _fits(name: str, recorded: Array, computed: Array) -> None:
    if recorded.shape != computed.shape:
        raise UserError(f"{name}: recorded with shape {recorded.shape}, the engine makes {computed.shape}.",
                        where=bundles.LAYERS, fix="Export the bundle again and build the engine from it.")


__all__ = ["compare_layers"]
