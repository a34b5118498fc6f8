"""The recipe of a network that comes quantized, as an ONNX file: nothing is trained, the rest is as in any recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from ..common import files
from ..common.errors import UserError
from ..common.schema import Document
from ..engines.config import Count, EngineConfig, OnnxRuntimeConfig, ProfileConfig, ValidateConfig
from ..training.config import DataConfig
from .complaints import explain
from .overrides import apply
from .recipe import Recipe, parse, validated

TARGETS = "targets"
_ELSEWHERE = ("training", "calibrate")


class OnnxModelConfig(Document):
    """Where the network comes from.

    Attributes:
        onnx: an ONNX file with Q/DQ.
        inputs: an npz file with an array for every input by its name, samples first, and `targets` if they are known;
            None for the recipe's data, or for random inputs where it has none.
    """

    onnx: str
    inputs: str | None = None


class SamplesConfig(Document):
    """How many samples go into the bundle; as in `ExportConfig`."""

    reference_samples: Count = 256
    eval_samples: Count = 1024
    layer_samples: Count = 4


class OnnxRecipe(Document):
    """A whole job that starts from an ONNX file.

    Attributes:
        name: names the run folder `runs/NAME`.
        seed: fixes the random inputs.
        model: the file, and inputs for it.
        data: the samples, of which only the validation loader is read. Defaults to none.
        export: how many samples go into the bundle.
        engines: what is built from it.
        profile: how engines are timed.
        validate: what their answers must satisfy. Without targets there is no `max_drop`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    model: OnnxModelConfig
    data: DataConfig | None = None
    export: SamplesConfig = SamplesConfig()
    engines: list[EngineConfig] = [OnnxRuntimeConfig()]
    profile: ProfileConfig = ProfileConfig()
    validation: Annotated[ValidateConfig, Field(alias="validate")] = ValidateConfig()

    @model_validator(mode="after")
    def _possible(self) -> OnnxRecipe:
        backends = [engine.backend for engine in self.engines]
        if len(set(backends)) < len(backends):
            raise ValueError("engines: each backend can be listed once")
        if self.validation.metric != "accuracy":
            raise ValueError("validate.metric: of a network that comes as an ONNX file only accuracy can be measured")
        if self.data is not None and self.model.inputs is not None:
            raise ValueError("model.inputs: the samples come from here or from data, not from both")
        return self

    @property
    def knows_targets(self) -> bool:
        """Whether the samples come with right answers."""
        return self.data is not None or (
            self.model.inputs is not None and TARGETS in files.load_npz(Path(self.model.inputs))
        )

    def resolved(self) -> OnnxRecipe:
        """The same recipe with what depends on the files filled in: the batch that is timed, and the gates.

        Raises:
            UserError: a file is missing or damaged, or a gate on the accuracy is asked for without targets.
        """
        from ..export.foreign.describe import fixed_batch
        from ..export.graph.load import load

        changed: dict[str, Any] = {}
        batch = fixed_batch(load(Path(self.model.onnx)))
        if batch is not None and "batch" not in self.profile.model_fields_set:
            changed["profile"] = self.profile.model_copy(update={"batch": [batch]})
        if not self.knows_targets:
            changed["validation"] = self.validation.model_copy(update={"max_drop": None})
            if "max_drop" in self.validation.model_fields_set and self.validation.max_drop is not None:
                raise UserError(
                    "max_drop is a gate on the accuracy, and without targets there is none.", where="validate.max_drop",
                    fix=f"Give --inputs with an array `{TARGETS}`, or a recipe with data; or use min_agreement.",
                )
        return self.model_copy(update=changed)

    def document(self) -> dict[str, Any]:
        """As written in YAML."""
        return self.model_dump(mode="json", by_alias=True)


AnyRecipe = Recipe | OnnxRecipe


def load_any(path: Path, overrides: list[str], inputs: Path | None = None) -> AnyRecipe:
    """A recipe of either kind, or the recipe that an ONNX file alone stands for.

    Args:
        path: a YAML file, or an ONNX file.
        overrides: see `overrides.apply`.
        inputs: takes the place of `model.inputs`. Defaults to what the recipe says.

    Raises:
        UserError: see `recipe.load`; or inputs for a recipe that trains.
    """
    content = apply(_alone(path) if path.suffix == ".onnx" else parse(path), overrides)
    model = content.get("model")
    if not isinstance(model, dict) or "onnx" not in model:
        if inputs is not None:
            raise UserError("--inputs is for networks that come as ONNX files.", where=str(path), fix="Leave it out.")
        return validated(content, path)
    if inputs is not None:
        model["inputs"] = str(inputs)
    for key in _ELSEWHERE:
        if not content.get(key, True):
            del content[key]  # said to be empty, as it is
        if key in content:
            raise UserError(f"{key}: a network that comes as an ONNX file is not trained or calibrated.",
                            where=str(path), fix=f"Leave {key!r} out, or start from the PyTorch model.")
    try:
        return OnnxRecipe.model_validate(content)
    except ValidationError as error:
        raise explain(error, OnnxRecipe, path) from error


def _alone(path: Path) -> dict[str, Any]:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("-._") or "model"
    return {"name": name, "model": {"onnx": str(path)}}


__all__ = ["TARGETS", "AnyRecipe", "OnnxModelConfig", "OnnxRecipe", "SamplesConfig", "load_any"]
