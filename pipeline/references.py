"""The answers that a bundle of a foreign network is held to: of its file as it stands, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..common.console import progress
from ..common.errors import UserError
from ..engines.literal import check_halves
from ..engines.onnxruntime.session import open_session, runtime
from ..export.foreign.widen import uses
from ..export.graph.load import load

Array = np.ndarray[Any, Any]
NOISE, _BATCH = 1e-5, 64
_FIX = "Give real inputs with --inputs, of the shapes and the batch that the model takes."


def runtime_name() -> str:
    """What answers, in words."""
    return f"onnxruntime {runtime().__version__}, CPU, optimizations off"


class Reference:
    """An ONNX file on ONNX Runtime with its optimizations off.

    Args:
        path: the file.
        batch: samples per inference, or None for any number.
        outputs: what it answers. Defaults to the graph's outputs.

    Raises:
        UserError: ONNX Runtime refuses the file, or quantizes FP16 wrongly where the file has it.
        MissingError: ONNX Runtime is missing or broken.
    """

    def __init__(self, path: Path, batch: int | None, outputs: Sequence[str] | None = None) -> None:
        check_halves(path)
        self._session, self._path = _opened(path), path
        self._kinds = {value.name: value.type for value in self._session.get_inputs()}
        self._outputs = list(outputs or [value.name for value in self._session.get_outputs()])
        self._batch, self._fixed = batch or _BATCH, batch is not None

    def answer(self, inputs: Mapping[str, Array], label: str) -> dict[str, Array]:
        """Outputs by name, samples first; half precision as float32.

        Raises:
            UserError: the file can't be run on these inputs, or answers NaN or infinity.
        """
        count, parts = len(next(iter(inputs.values()))), []
        with progress(label, count) as advance:
            for start in range(0, count, self._batch):
                samples = min(self._batch, count - start)
                rows = np.arange(start, start + (self._batch if self._fixed else samples)) % count
                answers = self._run({n: v[rows] for n, v in inputs.items()})
                if any(np.ndim(answer) == 0 for answer in answers):
                    raise UserError("An output has no axis for the samples.", where=str(self._path))
                parts.append([value[:samples] for value in answers])
                advance(samples)
        found = {name: np.concatenate(values) for name, *values in zip(self._outputs, *parts, strict=True)}
        for name, value in found.items():
            if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                raise UserError(f"The output {name!r} holds NaN or infinity.", where=str(self._path), fix=_FIX)
        return found

    def once(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All samples in one inference; outputs by name, each as it comes, whatever its axes stand for.

        Raises:
            UserError: the file can't be run on these inputs.
        """
        return dict(zip(self._outputs, self._run(dict(inputs)), strict=True))

    def _run(self, inputs: dict[str, Array]) -> list[Array]:
        given = {name: value.astype(np.float16) if self._kinds.get(name) == "tensor(float16)" else value
                 for name, value in inputs.items()}
        try:
            answers: list[Array] = self._session.run(self._outputs, given)
        except Exception as error:  # ONNX Runtime has a class of error for every reason
            reason = " ".join(str(error).split())
            raise UserError(
                f"ONNX Runtime can't run this network ({reason}).", where=str(self._path), fix=_FIX
            ) from error
        return [answer.astype(np.float32) if answer.dtype == np.float16 else answer for answer in answers]


def _opened(path: Path) -> Any:
    try:
        return open_session(path, None, plain=True)
    except UserError as error:
        if not uses(load(path), ir.DataType.BFLOAT16):
            raise UserError(error.what, where=str(path), fix="Export it again, for this ONNX Runtime.") from error
        raise UserError(
            "This network computes in BF16, which ONNX Runtime can't run on a CPU, so there are no answers to compare "
            "with.", where=str(path), fix="Quantize it again in FP32 or FP16 (ModelOpt: --high_precision_dtype fp32).",
        ) from error


def disturbed(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The same inputs with Gaussian noise of standard deviation 1e-5 on those that are floats."""
    noise = np.random.default_rng(0)
    return {
        name: (value + noise.normal(0, NOISE, value.shape)).astype(value.dtype) if value.dtype.kind == "f" else value
        for name, value in inputs.items()
    }


__all__ = ["Reference", "disturbed", "runtime_name"]
