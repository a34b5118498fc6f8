"""What every backend offers, and where to find it by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from ..common.bundle import Bundle
from ..common.errors import UserError
from .config import EngineConfig, ProfileConfig
from .records import EngineRecord, LayerDifference, ProfileRecord

Arrays = Mapping[str, np.ndarray[Any, Any]]
_BACKENDS = {
    "onnxruntime": "twofour.engines.onnxruntime.backend",
    "tensorrt": "twofour.engines.tensorrt.backend",
}


class Runner(Protocol):
    """A loaded engine. Not shared between threads."""

    def infer(self, inputs: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """Outputs by name, for inputs by name (first axis: batch)."""

    def close(self) -> None:
        """Release what it holds."""


class Backend(Protocol):
    """One way to build and run an engine."""

    name: str

    def device(self) -> str:
        """The device it would use here, as in the engine folder's name (`cpu`).

        Raises:
            MissingError: this machine lacks what the backend needs.
        """

    def build(self, bundle: Bundle, config: EngineConfig, folder: Path) -> EngineRecord:
        """Build into `folder`: the engine, what is needed to judge it, and, last, `engine.json`."""

    def load(self, path: Path, config: EngineConfig, *, trust: bool = False) -> Runner:
        """Load an engine file, or a baseline, or a plain model.

        Args:
            path: the file.
            config: the engine's options.
            trust: load it also if it can run code and isn't known to have been built here.
        """

    def profile(
        self, folder: Path, record: EngineRecord, source: Bundle, config: ProfileConfig, options: EngineConfig, *,
        trust: bool = False,
    ) -> ProfileRecord:
        """Time an engine side by side with what it is compared with, on the bundle's real inputs."""

    def profile_model(
        self, path: Path, config: ProfileConfig, options: EngineConfig, shapes: Mapping[str, Sequence[int]], *,
        trust: bool = False,
    ) -> ProfileRecord:
        """Time a model file alone, on random inputs of its declared shapes."""

    def compare_layers(self, folder: Path, record: EngineRecord, source: Bundle) -> list[LayerDifference]:
        """How far the engine and PyTorch part, quantizer by quantizer; empty where nothing was recorded."""


def find(name: str) -> Backend:
    """The backend called `name`.

    Raises:
        UserError: there is none of that name.
    """
    if name not in _BACKENDS:
        raise UserError(f"There is no backend called {name!r}.", fix=f"Known: {', '.join(sorted(_BACKENDS))}.")
    return cast(Backend, import_module(_BACKENDS[name]).backend)


__all__ = ["Arrays", "Backend", "Runner", "find"]
