"""What every backend offers, and where to find it by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from ..common.bundle import Bundle
from ..common.errors import UserError
from .config import EngineConfig
from .records import EngineRecord

Arrays = Mapping[str, np.ndarray[Any, Any]]
_BACKENDS = {"onnxruntime": "twofour.engines.onnxruntime.backend"}


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
        """Build into `folder`: the engine, its FP32 baseline and `engine.json`."""

    def load(self, path: Path, config: EngineConfig) -> Runner:
        """Load an engine file, or a baseline, or a plain ONNX file."""


def find(name: str) -> Backend:
    """The backend called `name`.

    Raises:
        UserError: there is none of that name.
    """
    if name not in _BACKENDS:
        raise UserError(f"There is no backend called {name!r}.", fix=f"Known: {', '.join(sorted(_BACKENDS))}.")
    return cast(Backend, import_module(_BACKENDS[name]).backend)


__all__ = ["Arrays", "Backend", "Runner", "find"]
