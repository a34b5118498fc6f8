"""The backend `onnxruntime`: builds an INT8 engine from a bundle and runs it on the CPU. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...common.bundle import Bundle
from ..backend import Runner
from ..config import OnnxRuntimeConfig, ProfileConfig
from ..layers import compare_layers
from ..profile import profile_beside_fp32, profile_onnx
from ..records import EngineRecord, LayerDifference, ProfileRecord
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

    def build(self, bundle: Bundle, config: OnnxRuntimeConfig, folder: Path) -> EngineRecord:
        """Build `engine.onnx`, `fp32.onnx` and, last, `engine.json` in `folder`.

        Raises:
            UserError: the bundle's model is damaged, or `folder` can't be written.
            MissingError: ONNX Runtime is missing or broken.
        """
        return build_engine(bundle, config, folder, self.device())

    def load(self, path: Path, config: OnnxRuntimeConfig, *, trust: bool = False) -> Runner:  # noqa: ARG002
        """Load an ONNX file; it can run no code, so nothing needs to be trusted.

        Raises:
            UserError: it is missing or damaged.
            MissingError: ONNX Runtime is missing or broken.
        """
        return OnnxRunner(path, config.threads)

    def profile(
        self, folder: Path, record: EngineRecord, source: Bundle, config: ProfileConfig, options: OnnxRuntimeConfig, *,
        trust: bool = False,  # noqa: ARG002
    ) -> ProfileRecord:
        """Time an engine beside its FP32 baseline; see `profile_engine`."""
        return profile_beside_fp32(folder, record, source, config, options)

    def profile_model(
        self, path: Path, config: ProfileConfig, options: OnnxRuntimeConfig, shapes: Mapping[str, Sequence[int]], *,
        trust: bool = False,  # noqa: ARG002
    ) -> ProfileRecord:
        """Time a plain ONNX file; see `engines.profile.profile_model`."""
        return profile_onnx(path, config, options, shapes)

    def compare_layers(self, folder: Path, record: EngineRecord, source: Bundle) -> list[LayerDifference]:
        """See `engines.layers.compare_layers`."""
        assert isinstance(record.options, OnnxRuntimeConfig)
        return compare_layers(folder / record.engine, source, record.options)


backend = OnnxRuntimeBackend()

__all__ = ["OnnxRuntimeBackend", "backend"]
