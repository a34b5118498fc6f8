"""How much each layer's features count in QAT: little where pruning moved them much."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ...common import files
from ...common.errors import UserError

FEATURES = "features.json"
LEAST, MOST, _EPSILON = 0.1, 10.0, 1e-12


def factors(losses: Mapping[str, float], kind: Literal["inverse", "linear", "none"]) -> dict[str, float]:
    """A factor for each layer, from its feature loss in pruning; the larger that loss, the smaller the factor.

    Args:
        losses: by path, at least 0.
        kind: `inverse`: 1 / loss over the mean of that, clipped to 0.1 to 10; `linear`: 1 - loss / their sum; `none`:
            all 1.
    """
    if kind == "none":
        return dict.fromkeys(losses, 1.0)
    if kind == "linear":
        total = sum(losses.values())
        return {path: 1 - loss / total if total else 1.0 for path, loss in losses.items()}
    inverse = {path: 1 / (loss + _EPSILON) for path, loss in losses.items()}
    mean = sum(inverse.values()) / max(len(inverse), 1)
    return {path: min(max(value / mean, LEAST), MOST) for path, value in inverse.items()}


def read_losses(folder: Path, layers: list[str]) -> dict[str, float]:
    """The feature losses that the sparse stage left, of `layers`.

    Raises:
        UserError: it left none, or not of one of them, or the file is damaged.
    """
    path = folder / FEATURES
    if not path.is_file():
        raise UserError("The sparse stage left no feature losses to take factors from.", where=str(path),
                        fix="Train it with method: gpusq, a feature weight and an epoch; or set factors: none.")
    content = files.read_json(path)
    known = content.get("losses") if isinstance(content, dict) else None
    if not isinstance(known, dict) or not all(_is_loss(value) for value in known.values()):
        raise UserError("This file is damaged.", where=str(path), fix="Run its stage again.")
    missing = [layer for layer in layers if layer not in known]
    if missing:
        raise UserError(f"The sparse stage has no feature loss of {', '.join(missing)}.", where=str(path),
                        fix="Name the same critical layers in both stages, or set factors: none.")
    return {layer: float(known[layer]) for layer in layers}


def _is_loss(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def write_losses(folder: Path, losses: Mapping[str, float], used: Mapping[str, float]) -> None:
    """Write `features.json`: the losses, and the factors that the stage itself used."""
    files.write_json(folder / FEATURES, {"losses": dict(losses), "factors": dict(used)})


__all__ = ["FEATURES", "LEAST", "MOST", "factors", "read_losses", "write_losses"]
