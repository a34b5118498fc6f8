"""Run an exported graph at sizes that it was not exported with.

A trace can hold the example's batch or size in places that its declared shapes don't show: what it answers at another
one is the only proof that it doesn't.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from ..common.agreement import snr_db
from .dynamic import Axes, fixed, pictures
from .graph.save import save
from .samples import Tensors, named_outputs

Array = np.ndarray[Any, Any]
_LEAST_DB = 3.0  # another function has about 0 dB; quantization noise of a deep network has 15 or more


def try_sizes(model: ir.Model, network: nn.Module, inputs: Tensors, axes: Axes, *, by_name: bool) -> None:
    """Run the graph with another batch, height and width, one at a time, and compare with PyTorch.

    Args:
        model: as exported.
        network: what was exported, with its quantizers; it is not changed.
        inputs: the example, two samples.
        axes: the dynamic axes of the inputs.
        by_name: forward() takes its inputs by keyword.

    Raises:
        UserError: the network itself, or the graph, can't take such a size, or the graph answers something else.
    """
    asked = copy.deepcopy(network).cpu().float().eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        session = _session(path)
        for axis, changed in _sizes(inputs, axes):
            wanted = _pytorch(asked, changed, by_name, axis)
            _compare(axis, wanted, _onnx(session, changed, axis))


def _sizes(inputs: Tensors, axes: Axes) -> Iterator[tuple[str, Tensors]]:
    yield "batch", {name: torch.cat([value, value[:1]]) for name, value in inputs.items()}
    yield "batch", {name: value[:1] for name, value in inputs.items()}
    for name in dict.fromkeys(name for _, name, _ in pictures(inputs, axes)):
        at = {key: axis for key, other, axis in pictures(inputs, axes) if other == name}
        yield name, {key: torch.cat([value, value], at[key]) if key in at else value for key, value in inputs.items()}


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _pytorch(network: nn.Module, inputs: Tensors, by_name: bool, axis: str) -> dict[str, Array]:
    try:
        with torch.no_grad():
            answer = network(**inputs) if by_name else network(*inputs.values())
    except Exception as error:  # forward() is the user's
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs.values())
        raise fixed(axis, f"in PyTorch it refuses the shape {shapes} ({_line(error)})") from error
    return {name: value.numpy() for name, value in named_outputs(answer).items()}


def _onnx(session: Any, inputs: Tensors, axis: str) -> dict[str, Array]:
    names = [value.name for value in session.get_outputs()]
    read = {value.name for value in session.get_inputs()}
    try:
        answers = session.run(names, {name: value.numpy() for name, value in inputs.items() if name in read})
    except Exception as error:  # ONNX Runtime's errors have no common type
        raise fixed(axis, f"the graph holds the example's size ({_line(error)})") from error
    return dict(zip(names, answers, strict=True))


def _compare(axis: str, wanted: dict[str, Array], found: dict[str, Array]) -> None:
    for name, expected in wanted.items():
        answer = found[name]
        if answer.shape != expected.shape:
            raise fixed(axis, f"its output {name!r} has the shape {answer.shape} where PyTorch's is {expected.shape}")
        ratio = snr_db(expected, answer) if expected.dtype.kind == "f" else None
        if ratio is not None and ratio < _LEAST_DB:
            raise fixed(axis, f"at another size its output {name!r} is not PyTorch's ({ratio:.0f} dB)")


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] if text else type(error).__name__


__all__ = ["try_sizes"]
