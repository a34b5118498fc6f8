"""A loaded engine that answers on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...common.errors import UserError
from ..backend import Arrays
from .session import open_session


class OnnxRunner:
    """Runs one ONNX file.

    Args:
        path: an engine, a baseline, or any ONNX file.
        threads: threads of one inference, or None for every usable core.

    Raises:
        UserError: the file is missing or damaged.
        MissingError: ONNX Runtime is missing or broken.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        self._path = path
        self._session: Any = open_session(path, threads)
        self._inputs: list[str] = [value.name for value in self._session.get_inputs()]
        self._outputs: list[str] = [value.name for value in self._session.get_outputs()]
        shapes = [value.shape for value in self._session.get_inputs() if value.shape]
        fixed = [shape[0] for shape in shapes if isinstance(shape[0], int)]
        self.max_batch: int | None = fixed[0] if fixed else None  # None where the graph takes any

    def infer(self, inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """Answer one batch.

        Args:
            inputs: an array for every input of the model, by name; the first axis is the batch.

        Raises:
            UserError: an input is missing or unknown, or has a shape or dtype that the model does not take.
        """
        if set(inputs) != set(self._inputs):
            raise UserError(
                f"The model takes the inputs {sorted(self._inputs)}, but was given {sorted(inputs)}.",
                where=str(self._path),
            )
        try:
            answers = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # see open_session
            reason = " ".join(str(error).split())
            raise UserError(f"ONNX Runtime can't run these inputs ({reason}).", where=str(self._path)) from error
        return dict(zip(self._outputs, answers, strict=True))

    def close(self) -> None:
        """Release the session; `infer` can't be called afterwards."""
        self._session = None


__all__ = ["OnnxRunner"]
