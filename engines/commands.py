"""`twofour profile` and `twofour validate` on whatever the user names: an engine, a bundle, a plain ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..common import console, files
from ..common.errors import UserError
from ..common.lock import locked
from .build import engine_of
from .config import EngineConfig, ProfileConfig, ValidateConfig
from .profile import profile_engine, profile_model
from .records import VALIDATION, ProfileRecord, ValidationRecord
from .validate import validate_engine

_NO_GATES = {"max_drop": None, "min_agreement": None, "min_snr_db": None}


def profile_target(
    target: Path, config: ProfileConfig, engine: EngineConfig, bundle: Path | None = None, trust: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> ProfileRecord:
    """Measure an engine folder or bundle side by side with what it is compared with, or a plain model file alone.

    Args:
        target: any of these.
        config: batch sizes, time, runs and gates.
        engine: backend, and what of the engine's options is to differ from those that it was built with.
        bundle: the bundle's folder. Defaults to where the engine says it lies.
        trust: see `Backend.load`. Defaults to False.
        shapes: of a plain model's inputs; see `samples.random_inputs`. Defaults to none.

    Raises:
        UserError: `target` is none of these, or is damaged.
    """
    if target.is_file():
        return profile_model(target, config, engine, shapes, trust)
    folder = engine_of(target, engine)
    with locked(folder):
        return profile_engine(folder, config, bundle, engine, trust)


def validate_target(
    target: Path, engine: EngineConfig, *, max_drop: float | None = None, min_agreement: float | None = None,
    min_snr_db: float | None = None, gates: bool = True, bundle: Path | None = None,
    trust: bool = False, layers: bool | None = None,
) -> ValidationRecord:
    """Check an engine folder, or the engine of a bundle (built first if need be).

    Args:
        target: an engine folder or a bundle.
        engine: backend, and threads if the engine must be built.
        max_drop: see `ValidateConfig`. Defaults, like the other gates, to what the engine was last validated with,
            or else to `ValidateConfig`'s own.
        min_agreement: likewise.
        min_snr_db: likewise.
        gates: False drops the defaults, so that only the gates given here are judged.
        bundle: the bundle's folder. Defaults to where the engine says it lies.
        trust: see `Backend.load`. Defaults to False.
        layers: see `validate_engine`. Defaults to None.

    Raises:
        UserError: `target` is neither, or is damaged, or a gate is impossible.
    """
    asked = {"max_drop": max_drop, "min_agreement": min_agreement, "min_snr_db": min_snr_db}
    given = {name: value for name, value in asked.items() if value is not None}
    _config(given)  # an impossible gate is said before anything is built
    folder = engine_of(target, engine)
    with locked(folder):
        kept = _recorded(folder).model_dump() | ({} if gates else _NO_GATES)
        return validate_engine(folder, bundle, _config(kept | given), trust, layers)


def _recorded(folder: Path) -> ValidateConfig:
    """What the engine was last validated with, or the defaults."""
    path = folder / "validate" / VALIDATION
    if not path.is_file():
        return ValidateConfig()
    try:
        return ValidateConfig.model_validate(files.read_json(path)["options"])
    except (UserError, ValidationError, KeyError, TypeError):
        console.warn(f"{path} is damaged; the gates are the usual ones.")
        return ValidateConfig()


def _config(values: dict[str, Any]) -> ValidateConfig:
    try:
        return ValidateConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{first['msg']} (given: {first['input']!r}).", where=name, fix="Correct this gate.") from error


__all__ = ["profile_target", "validate_target"]
