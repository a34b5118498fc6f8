"""The recipe: one YAML file that says everything, checked before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from ..calibrate.config import CalibrateConfig
from ..common.errors import UserError
from ..common.schema import Document
from ..engines.config import EngineConfig, OnnxRuntimeConfig, ProfileConfig, ValidateConfig
from ..export.config import ExportConfig
from ..training.config import DataConfig, ModelConfig, TrainConfig
from .complaints import explain
from .overrides import apply
from .resolve import check, resolve
from .teaching import FOUR, check_four_bits, four_bits


class Recipe(Document):
    """A whole job.

    Attributes:
        name: names the run folder `runs/NAME`.
        seed: fixes the fresh weights, the order of the samples and their augmentation.
        model: the network.
        data: the samples.
        training: training stages in order; none at all quantizes the given weights as they are.
        calibrate: how the activations' ranges are chosen.
        export: how the bundle is made.
        engines: what is built from it.
        profile: how engines are timed.
        validate: what their answers must satisfy.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelConfig
    data: DataConfig
    training: list[TrainConfig] = []
    calibrate: CalibrateConfig = CalibrateConfig()
    export: ExportConfig = ExportConfig()
    engines: list[EngineConfig] = [OnnxRuntimeConfig()]
    profile: ProfileConfig = ProfileConfig()
    validation: Annotated[ValidateConfig, Field(alias="validate")] = ValidateConfig()

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        check(self.training, self.model, self.calibrate.method == "given")
        check_four_bits(self.calibrate, bool(self.engines) and "engines" in self.model_fields_set)
        backends = [engine.backend for engine in self.engines]
        if len(set(backends)) < len(backends):
            raise ValueError("engines: each backend can be listed once")
        return self

    def resolved(self) -> Recipe:
        """The same recipe with everything that was left out filled in."""
        training = resolve(self.training)
        filled = four_bits(self.calibrate, training) if self.calibrate.bits == FOUR else {"training": training}
        return self.model_copy(update=filled)

    def document(self) -> dict[str, Any]:
        """As written in YAML."""
        return self.model_dump(mode="json", by_alias=True)


def load(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the YAML file.
        overrides: `key=value` each, the key with dots (`training.0.epochs=2`), the value as in YAML.

    Raises:
        UserError: the file is missing, empty, not YAML, or says something unknown, impossible or of the wrong type.
    """
    return validated(apply(parse(path), overrides or []), path)


def validated(content: dict[str, Any], path: Path) -> Recipe:
    """The content of a recipe, checked.

    Raises:
        UserError: it says something unknown, impossible or of the wrong type.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise explain(error, Recipe, path) from error


def parse(path: Path) -> dict[str, Any]:
    """The content of a recipe, as written.

    Raises:
        UserError: the file is missing, empty, or not YAML with a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError("There is no such recipe.", where=str(path), fix="Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"This recipe can't be read ({error}).", where=str(path)) from error
    except yaml.YAMLError as error:
        raise UserError(f"This recipe is not YAML ({_place(error)}).", where=str(path)) from error
    if content is None:
        raise UserError("This recipe is empty.", where=str(path), fix="Start from recipes/digits-resnet.yaml.")
    if not isinstance(content, dict):
        raise UserError(
            f"A recipe is a mapping of keys to values, and this is a {type(content).__name__}.",
            where=str(path),
            fix="Start from recipes/digits-resnet.yaml.",
        )
    return content


def _place(error: yaml.YAMLError) -> str:
    """Line, column and problem, where the parser says them."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


__all__ = ["Recipe", "load", "parse", "validated"]
