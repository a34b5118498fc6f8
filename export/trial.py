"""Run an exported graph at sizes that it was not exported with.

A trace can hold the example's batch or size in places that its declared shapes don't show: what it answers at another
one is the only proof that it doesn't.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from ..common import console, files
from ..common.agreement import LIMIT_DB, snr_db
from ..common.errors import UserError
from .dynamic import Axes, fixed, pictures
from .graph.int8_weights import store_int8_weights
from .graph.save import save
from .graph.values import forget_constants
from .light_copy import light_copy
from .samples import Tensors, named_outputs

Array = np.ndarray[Any, Any]
_LEAST_DB = 3.0  # another function has about 0 dB; quantization noise of a deep network has 15 or more
_WORSE_DB = 10.0  # than at sizes that divide like the example's
_ENOUGH_DB = 30.0  # codes that flip cost this much anywhere; what forward() decides on sizes costs far more


@dataclass(frozen=True)
class Elsewhere:
    """What PyTorch answers at another size.

    Attributes:
        axis: what was changed: `batch`, `height` or `width`.
        inputs: of that size.
        answer: outputs by name.
        odd: a size that shares no factor with the example's, which a graph may get wrong as long as it is said.
    """

    axis: str
    inputs: Tensors
    answer: dict[str, Array]
    odd: bool = False


def answers_at(network: nn.Module, inputs: Tensors, axes: Axes, *, by_name: bool) -> list[Elsewhere]:
    """Ask PyTorch with another batch, height and width, one at a time.

    Args:
        network: what is exported, with its quantizers; it is not changed.
        inputs: the example, two samples.
        axes: the dynamic axes of the inputs.
        by_name: forward() takes its inputs by keyword.

    Raises:
        UserError: the network itself takes only the example's size.
    """
    asked, found = light_copy(network), []
    for axis, changed in _sizes(inputs, axes):
        found.append(Elsewhere(axis, changed, _pytorch(asked, changed, by_name, axis)))
    for axis, changed in _odd_sizes(inputs, axes):
        with suppress(UserError):  # many networks want multiples
            found.append(Elsewhere(axis, changed, _pytorch(asked, changed, by_name, axis), odd=True))
    return found


def compare_at(path: Path, elsewhere: list[Elsewhere]) -> None:
    """Run the graph of a file at those sizes and compare with PyTorch; of an odd size it gets wrong there is a warning.

    What runs has its weights as integers: the same answers in a quarter of the memory.

    Raises:
        UserError: the graph can't take such a size, or answers something else; or there is no room beside the file.
    """
    if not elsewhere:
        return
    with files.explained(path), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        model, small = ir.load(path), Path(folder) / "model.onnx"
        stored = store_int8_weights(model)
        if stored:
            save(model, small, 0)
        forget_constants(model)
        _judge(_session(small if stored else path), elsewhere)


def _judge(session: Any, elsewhere: list[Elsewhere]) -> None:
    least = min(_ratio(session, case, _LEAST_DB) for case in elsewhere if not case.odd)
    for case in elsewhere:
        if case.odd:
            _warn(session, case, max(_LEAST_DB, min(least - _WORSE_DB, _ENOUGH_DB)))


def _warn(session: Any, case: Elsewhere, least: float) -> None:
    try:
        _ratio(session, case, least)
    except UserError as error:
        console.warn(
            f"At an odd {case.axis} the graph does not answer as PyTorch does, since forward() decides on the size: "
            f"keep to multiples that the example's {case.axis} has too ({error.what.partition(': ')[2]})."
        )


def _sizes(inputs: Tensors, axes: Axes) -> Iterator[tuple[str, Tensors]]:
    yield "batch", {name: torch.cat([value, value[:1]]) for name, value in inputs.items()}
    yield "batch", {name: value[:1] for name, value in inputs.items()}
    for name, at in pictures(axes).items():
        yield name, {key: torch.cat([value, value], at[key]) if key in at else value for key, value in inputs.items()}


def _odd_sizes(inputs: Tensors, axes: Axes) -> Iterator[tuple[str, Tensors]]:
    for name, at in pictures(axes).items():
        yield name, {key: _longer(value, at[key]) if key in at else value for key, value in inputs.items()}


def _longer(value: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat([value, value.narrow(axis, 0, 1 + value.shape[axis] // 2 // 2 * 2)], axis)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_mem_pattern = False  # it keeps room for all dequantized weights at once
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


def _ratio(session: Any, case: Elsewhere, least: float) -> float:
    """Signal-to-noise ratio of the worst output in dB, at least `least`."""
    found, worst = _onnx(session, case.inputs, case.axis), LIMIT_DB
    for name, expected in case.answer.items():
        answer = found[name]
        if answer.shape != expected.shape:
            how = f"its output {name!r} has the shape {answer.shape} where PyTorch's is {expected.shape}"
            raise fixed(case.axis, how)
        ratio = snr_db(expected, answer) if expected.dtype.kind == "f" else None
        if ratio is not None and ratio < least:
            raise fixed(case.axis, f"at another size its output {name!r} is not PyTorch's ({ratio:.0f} dB)")
        worst = min(worst, LIMIT_DB if ratio is None else ratio)
    return worst


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] if text else type(error).__name__


__all__ = ["Elsewhere", "answers_at", "compare_at"]
