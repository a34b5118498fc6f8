"""`twofour profile` and `twofour validate` on whatever the user names: an engine, a bundle, a plain ONNX file."""

from __future__ import annotations

from pathlib import Path

from ..common.lock import locked
from .build import engine_of
from .config import EngineConfig, ProfileConfig, ValidateConfig
from .profile import profile_engine, profile_model
from .records import ProfileRecord, ValidationRecord
from .validate import validate_engine


def profile_target(
    target: Path, config: ProfileConfig, engine: EngineConfig, bundle: Path | None = None
) -> ProfileRecord:
    """Measure an engine folder or bundle side by side with FP32, or a plain ONNX file alone.

    Raises:
        UserError: `target` is none of these, or is damaged.
    """
    if target.is_file():
        return profile_model(target, config, engine)
    folder = engine_of(target, engine)
    with locked(folder):
        return profile_engine(folder, config, bundle)


def validate_target(
    target: Path, config: ValidateConfig, engine: EngineConfig, bundle: Path | None = None
) -> ValidationRecord:
    """Check an engine folder, or the engine of a bundle (built first if need be).

    Raises:
        UserError: `target` is neither, or is damaged.
    """
    folder = engine_of(target, engine)
    with locked(folder):
        return validate_engine(folder, bundle, config)


__all__ = ["profile_target", "validate_target"]
