"""What a recipe refers to outside itself: user code and files, reduced to a value that changes when they do."""

from __future__ import annotations

import importlib.machinery
import sys
from functools import cache
from pathlib import Path
from typing import Any

from .. import __version__
from ..common import files
from ..training.config import DataConfig, ModelConfig
from .onnx_recipe import OnnxRecipe
from .recipe import Recipe
from .stage import digest


def of_network(recipe: Recipe) -> dict[str, Any]:
    """What every stage that builds the network and reads the samples depends on."""
    return {"seed": recipe.seed, "model": of_model(recipe.model), "data": of_data(recipe.data)}


def of_onnx(recipe: OnnxRecipe) -> dict[str, Any]:
    """What the bundle of an ONNX file depends on: the files, what goes into the bundle, and where samples come from.

    Raises:
        UserError: the file, or one with its weights, is missing or damaged.
    """
    from ..export.graph.load import load
    from ..export.graph.stored import data_files

    path = Path(recipe.model.onnx)
    load(path)
    beside = data_files(path)
    inputs = Path(recipe.model.inputs) if recipe.model.inputs else None
    return {
        "name": recipe.name, "seed": recipe.seed, "export": recipe.export.model_dump(mode="json"),
        "model": {"sha256": files.sha256(path), "beside": {name: files.sha256(path.parent / name) for name in beside}},
        "inputs": files.sha256(inputs) if inputs else None, "data": of_data(recipe.data) if recipe.data else None,
    }


@cache
def of_rooms(*rooms: str) -> dict[str, Any]:
    """Twofour's version and the sources of some of its rooms: what another version made is not taken for this one's.

    Args:
        rooms: folders of the package, such as `training` or `export/graph`.
    """
    root = Path(__file__).parent.parent
    paths = [path for room in rooms for path in (root / room).rglob("*.py")]
    return {"version": __version__, "sources": _sources(root, paths)}


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
    if path.is_file():
        return files.sha256(path)
    entries = sorted(item for item in path.rglob("*") if item.is_file())
    return digest([[str(item.relative_to(path)), item.stat().st_size, item.stat().st_mtime_ns] for item in entries])


def _code(factory: str) -> str | None:
    """The hash of a user's own module, or of the whole package that it lies in; twofour's own is told by its rooms."""
    module = factory.partition(":")[0]
    if module.startswith("twofour.") or not module.replace(".", "").isidentifier():
        return None
    source, top = _source(module), _source(module.partition(".")[0])
    if top is not None and top.name == "__init__.py":
        return _sources(top.parent, list(top.parent.rglob("*.py")))
    return files.sha256(source) if source else None


def _sources(root: Path, paths: list[Path]) -> str:
    return digest([[str(path.relative_to(root)), files.sha256(path)] for path in sorted(paths)])


def _source(module: str) -> Path | None:
    """Where a module's source lies, found without importing it (an import could take seconds)."""
    search: list[str] | None = [str(Path.cwd()), *sys.path]
    spec = None
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, search) if search is not None else None
        search = list(spec.submodule_search_locations or []) if spec else None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


__all__ = ["of_data", "of_model", "of_network", "of_onnx", "of_rooms"]
