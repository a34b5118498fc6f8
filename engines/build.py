"""`twofour build`: an engine from a bundle, wherever the bundle was copied to."""

from __future__ import annotations

from pathlib import Path

from ..common import bundle as bundles
from ..common import files
from ..common.lock import locked
from .backend import find
from .config import EngineConfig
from .records import ENGINE, EngineRecord, read_engine


def build_engine(bundle: Path, config: EngineConfig, out: Path | None = None) -> tuple[Path, EngineRecord]:
    """Build an engine.

    Args:
        bundle: a bundle folder.
        config: backend and options.
        out: the engine's folder. Defaults to `engines/BACKEND-DEVICE` beside the bundle.

    Returns:
        The engine's folder and its record.

    Raises:
        UserError: the bundle is damaged, or the backend unknown.
        MissingError: this machine lacks what the backend needs.
    """
    source = bundles.read(bundle)
    folder = out or _default(bundle, config)
    with locked(folder):
        files.sweep(folder)
        return folder, find(config.backend).build(source, config, folder)


def engine_of(target: Path, config: EngineConfig) -> Path:
    """The engine folder that `target` means: itself, or the engine of a bundle, built first if need be.

    An engine that was built from this very bundle stays, unless something that `config` was given differs.
    """
    if (target / ENGINE).is_file() or not (target / bundles.MANIFEST).is_file():
        read_engine(target)
        return target
    folder = _default(target, config)
    return folder if _current(folder, target, config) else build_engine(target, config, folder)[0]


def _default(bundle: Path, config: EngineConfig) -> Path:
    return bundle.resolve().parent / "engines" / f"{config.backend}-{find(config.backend).device()}"


def _current(folder: Path, bundle: Path, config: EngineConfig) -> bool:
    if not (folder / ENGINE).is_file():
        return False
    record = read_engine(folder)
    return _suits(record, config) and record.bundle_digest == bundles.read(bundle).digest


def _suits(record: EngineRecord, config: EngineConfig) -> bool:
    """Whatever `config` was given, and isn't None, is what the engine was built with."""
    given = {name: getattr(config, name) for name in config.model_fields_set if getattr(config, name) is not None}
    return all(getattr(record.options, name, None) == value for name, value in given.items())


__all__ = ["build_engine", "engine_of"]
