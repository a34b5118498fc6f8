"""Which stages of a run still belong together: each record holds the hashes of what the stage was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..teaching import FOUR

ORDER = ("dense", "sparse", "calibrate", "qat", "export")
_AFTER = {"sparse": ("dense",), "calibrate": ("dense", "sparse"), "qat": ("calibrate",), "export": ("calibrate", "qat")}


class Made(Protocol):
    """What a finished stage has on record."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What decided its result; under `from`, the outputs of the stages that it came from, by their names."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """Its files: path within the run folder to SHA-256."""


def planned(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """The stages up to the bundle that a recipe asks for, in order; all of them where there is no recipe."""
    if not recipe:
        return ORDER
    if isinstance(model := recipe.get("model"), dict) and "onnx" in model:
        return ("export",)
    listed = recipe.get("training")
    training = [entry.get("stage") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    always = ("calibrate",) if measured_only(recipe) else ("calibrate", "export")
    return tuple(name for name in ORDER if name in always or name in training)


def measured_only(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe asks for 4 bits, which end with the accuracy."""
    calibrate = recipe.get("calibrate")
    return isinstance(calibrate, dict) and calibrate.get("bits") == FOUR


def outdated(records: Mapping[str, Made], plan: Sequence[str]) -> set[str]:
    """The stages whose result no longer follows from what the stages before them have on record.

    Args:
        records: of the finished stages, by name. One that does not say what it was made from is taken to fit.
        plan: the stages of the recipe, in order.
    """
    found: set[str] = set()
    for name in plan:
        if name in records:
            expected = [step for step in _AFTER.get(name, ()) if step in plan][-1:]
            valid = {step: records[step].outputs for step in plan if step in records and step not in found}
            if not _follows(records[name].inputs.get("from"), expected, valid):
                found.add(name)
    return found


def _follows(made_from: Any, expected: Sequence[str], valid: Mapping[str, Mapping[str, str]]) -> bool:
    if not isinstance(made_from, Mapping):
        return True
    return made_from.keys() >= set(expected) and all(valid.get(name) == files for name, files in made_from.items())


__all__ = ["ORDER", "Made", "measured_only", "outdated", "planned"]
