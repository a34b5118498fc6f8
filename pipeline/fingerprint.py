"""What a recipe refers to outside itself: user code and files, reduced to a value that changes when they do."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from typing import Any

from ..common import files
from ..training.config import DataConfig, ModelConfig


def of_model(config: ModelConfig) -> dict[str, Any]:
    """The model's settings, the hash of its weights file and of the module that holds its factory."""
    weights = Path(config.weights) if config.weights else None
    return {
        **config.model_dump(mode="json"),
        "weights_sha256": files.sha256(weights) if weights and weights.is_file() else None,
        "code": _code(config.factory),
    }


def of_data(config: DataConfig) -> dict[str, Any]:
    """The data's settings, the files and folders that its arguments name, and the module that holds its factory."""
    named = {key: _path(Path(value)) for key, value in config.args.items() if isinstance(value, str) and _exists(value)}
    return {**config.model_dump(mode="json"), "files": named, "code": _code(config.factory)}


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False


def _path(path: Path) -> str:
    """A file's hash, or a folder's listing: names, sizes and times (reading every picture would take too long)."""
    from .stage import digest

    if path.is_file():
        return files.sha256(path)
    entries = sorted(item for item in path.rglob("*") if item.is_file())
    return digest([[str(item.relative_to(path)), item.stat().st_size, item.stat().st_mtime_ns] for item in entries])


def _code(factory: str) -> str | None:
    """The hash of a user's own module; twofour's own is told by its version."""
    module = factory.partition(":")[0]
    if module.startswith("twofour.") or not module.replace(".", "").isidentifier():
        return None
    source = _source(module)
    return files.sha256(source) if source else None


def _source(module: str) -> Path | None:
    """Where a module's source lies, found without importing it (an import could take seconds)."""
    search: list[str] | None = [str(Path.cwd()), *sys.path]
    spec = None
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, search) if search is not None else None
        search = list(spec.submodule_search_locations or []) if spec else None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


__all__ = ["of_data", "of_model"]
