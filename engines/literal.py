"""A graph run word for word: ONNX Runtime without its optimizations, so that every Q and DQ rounds where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..common.errors import UserError
from .backend import Arrays
from .onnxruntime.session import runtime

_ERRORS_ONLY = 3


class LiteralRunner:
    """Runs an ONNX file on the CPU as it is written; slower than `OnnxRunner`, and free of its integer kernels.

    Args:
        path: the file.

    Raises:
        UserError: it is missing or damaged, or holds what ONNX Runtime can't run on a CPU, such as most of bfloat16.
        MissingError: ONNX Runtime is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        package = runtime()
        options = package.SessionOptions()
        options.graph_optimization_level = package.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = package.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a different class for every reason
            raise UserError(f"ONNX Runtime can't run it on a CPU ({_line(error)}).", where=str(path)) from error

    def infer(self, inputs: Arrays) -> dict[str, Any]:
        """Answer one batch.

        Raises:
            UserError: the inputs don't fit, or ONNX Runtime can't run a node on a CPU.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # as above
            raise UserError(f"ONNX Runtime can't run it on a CPU ({_line(error)}).") from error

    def close(self) -> None:
        """Release the session."""
        self._session = None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


__all__ = ["LiteralRunner"]
