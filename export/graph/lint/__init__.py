"""What TensorRT will make of an ONNX graph, said before there is an engine."""

from __future__ import annotations

from .context import Context
from .finding import Finding, Severity, by_severity
from .gate import find_severity, require_clean
from .predict import Prediction, predict, predictions
from .releases import find_release
from .run import anywhere, examine, lint
from .sparsity import broken_promises

__all__ = [
    "Context", "Finding", "Prediction", "Severity", "anywhere", "broken_promises", "by_severity", "examine",
    "find_release", "find_severity", "lint", "predict", "predictions", "require_clean",
]
