"""The backend `onnxruntime`: builds an INT8 engine from a bundle and runs it on the CPU. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from ...common.bundle import Bundle
from ..backend import Runner
from ..config import EngineConfig
from ..records import EngineRecord
from .build import build_engine
from .runner import OnnxRunner
from .session import runtime


class OnnxRuntimeBackend:
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def device(self) -> str:
        """`cpu`.

        Raises:
            MissingError: ONNX Runtime is missing or broken.
        """
        runtime()
        return "cpu"

    def build(self, bundle: Bundle, config: EngineConfig, folder: Path) -> EngineRecord:
        """Build `engine.onnx`, `fp32.onnx` and, last, `engine.json` in `folder`.

        Raises:
            UserError: the bundle's model is damaged, or `folder` can't be written.
            MissingError: ONNX Runtime is missing or broken.
        """
        return build_engine(bundle, config, folder, self.device())

    def load(self, path: Path, config: EngineConfig) -> Runner:
        """Load an ONNX file.

        Raises:
            UserError: it is missing or damaged.
            MissingError: ONNX Runtime is missing or broken.
        """
        return OnnxRunner(path, config.threads)


backend = OnnxRuntimeBackend()

__all__ = ["OnnxRuntimeBackend", "backend"]
