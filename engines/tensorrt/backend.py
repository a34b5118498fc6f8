"""The backend `tensorrt`: builds a sparse INT8 engine from a bundle and runs it on an NVIDIA GPU. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...common.bundle import Bundle
from ..backend import Runner
from ..config import ProfileConfig, TensorRTConfig
from ..cuda.device import device
from ..records import EngineRecord, LayerDifference, ProfileRecord
from . import debug, profile
from .build import build_engine
from .module import tensorrt
from .plan import read_plan
from .runner import TensorRTRunner


class TensorRTBackend:
    """TensorRT on the first GPU."""

    name = "tensorrt"
    layers_cost_a_build = True

    def device(self) -> str:
        """The GPU's name as a folder bears it, such as `nvidia-h100-80gb-hbm3`.

        Raises:
            MissingError: TensorRT, the driver or the GPU is missing.
        """
        tensorrt()
        return device().slug

    def build(self, bundle: Bundle, config: TensorRTConfig, folder: Path) -> EngineRecord:
        """Build `typed.onnx`, `engine.plan`, `build.log`, `layers.json` and, last, `engine.json`; see `build_engine`.

        Raises:
            UserError: the bundle's model is damaged or TensorRT refuses it, or the options don't suit it.
            MissingError: TensorRT or the GPU is missing, or lacks memory or a feature.
        """
        tensorrt()
        return build_engine(bundle, config, folder)

    def load(self, path: Path, config: TensorRTConfig, *, trust: bool = False) -> Runner:  # noqa: ARG002
        """Load a plan; see `read_plan`.

        Raises:
            UserError: it is missing, damaged, of another TensorRT or GPU, or not trusted.
            MissingError: TensorRT or the GPU is missing, or lacks memory.
        """
        opened = read_plan(path, None, trust=trust)
        return TensorRTRunner(opened.engine, log=opened.log, where=str(path), keep=opened.keep)

    def profile(
        self, folder: Path, record: EngineRecord, source: Bundle, config: ProfileConfig, options: TensorRTConfig, *,
        trust: bool = False,
    ) -> ProfileRecord:
        """Time an engine beside the arms that it is compared with; see `profile_arms`."""
        return profile.profile_arms(folder, record, source, config, options, trust=trust)

    def profile_model(
        self, path: Path, config: ProfileConfig, options: TensorRTConfig, shapes: Mapping[str, Sequence[int]], *,
        trust: bool = False,
    ) -> ProfileRecord:
        """Time a plan alone; see `profile_plan`."""
        return profile.profile_plan(path, config, options, shapes, trust=trust)

    def compare_layers(self, folder: Path, record: EngineRecord, source: Bundle) -> list[LayerDifference]:
        """See `debug.compare_layers`."""
        return debug.compare_layers(folder, record, source)


backend = TensorRTBackend()

__all__ = ["TensorRTBackend", "backend"]
