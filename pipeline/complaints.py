"""A validation error in words: what is wrong with the recipe, where, and the nearest thing that would be right."""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from ..common.errors import UserError
from ..engines.config import CONFIGS, EngineConfig

T = TypeVar("T", bound=BaseModel)
_TYPES = ("literal[", "list[")


def explain(error: ValidationError, model: type[BaseModel], path: Path) -> UserError:
    """The first complaint of `error` as one paragraph, with the number of the others."""
    complaints = error.errors(include_url=False)
    first = next((item for item in complaints if item["type"] == "extra_forbidden"), complaints[0])
    location = first["loc"]
    key = ".".join(_walk(model, location)[1])
    places = {tuple(_walk(model, item["loc"])[1]) for item in complaints}  # of a value, one for each type it may have
    rest = f" ({len(places) - 1} more to mend after this one.)" if len(places) > 1 else ""
    if first["type"] == "extra_forbidden":
        what, fix = _unknown(model, location)
    elif first["type"] == "missing":
        what, fix = f"The key {key!r} is missing.", "Add it; recipes/digits-resnet.yaml shows how."
    elif first["type"] == "union_tag_invalid":
        what, fix = _no_backend(f"{key}.backend", first["ctx"]["tag"])
    else:
        what, fix = _wrong(key, first), "Correct it in the recipe, or with --set."
    return UserError(what, where=str(path), fix=fix + rest)


def settings(model: type[T], **values: Any) -> T:
    """A settings document from a command's options.

    Raises:
        UserError: an option has an impossible value.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(_wrong(key, first), fix="Correct the option; --help shows what it takes.") from error


def engine_settings(backend: str, **values: Any) -> EngineConfig:
    """The settings of one backend's engine from a command's options; None is an option that was not given.

    Raises:
        UserError: no such backend, an option that it doesn't have, or an impossible value.
    """
    if backend not in CONFIGS:
        what, fix = _no_backend("--backend", backend)
        raise UserError(what, fix=fix)
    given = {name: value for name, value in values.items() if value is not None}
    model = CONFIGS[backend]
    if foreign := sorted(given.keys() - model.model_fields.keys()):
        raise UserError(f"The backend {backend} has no option --{foreign[0].replace('_', '-')}.",
                        fix="Leave it out, or name another backend with --backend.")
    return settings(model, **given)


def _no_backend(key: str, name: str) -> tuple[str, str]:
    return f"{key}: there is no backend called {name!r}.", f"Known: {', '.join(sorted(CONFIGS))}."


def _unknown(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, str]:
    name = str(location[-1])
    found, shown = _walk(model, location[:-1])
    known, place = _keys(found), ".".join(shown)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    what = f"Unknown key {name!r}" + (f" in {place!r}." if place else ".")
    return what, f"Did you mean {near[0]!r}?" if near else f"Known keys here: {', '.join(known)}."


def _wrong(key: str, item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if not key:
        return f"{message}."
    value = item["input"]
    shown = "" if isinstance(value, dict | list) else f" (given: {value!r})"
    return f"{key}: {message}{shown}."


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _walk(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[type[BaseModel] | None, list[str]]:
    """The document that a place in a recipe belongs to, and the place as the user wrote it.

    Pydantic puts the tag of a variant (`tensorrt`) or its type (`list[str]`) into the place; the recipe has neither.
    """
    kinds: dict[str, type[BaseModel]] = {"": model}
    shown: list[str] = []
    for part in location:
        if isinstance(part, str) and part in kinds:
            kinds = {"": kinds[part]}
            continue
        if isinstance(part, str) and part.startswith(_TYPES):
            continue
        shown.append(str(part))
        if isinstance(part, str):
            fields = {field.alias or name: field for one in kinds.values() for name, field in one.model_fields.items()}
            kinds = inner_documents(fields[part].annotation) if part in fields else {}
    return next(iter(kinds.values()), None), shown


def inner_documents(annotation: Any, tag: str = "") -> dict[str, type[BaseModel]]:
    """The documents inside `X`, `X | None`, `list[X]`, `dict[str, X]` or a tagged union of several, by tag."""
    if isinstance(annotation, type) and not get_origin(annotation):
        return {tag: annotation} if issubclass(annotation, BaseModel) else {}
    if get_origin(annotation) is Annotated:
        inner, *about = get_args(annotation)
        return inner_documents(inner, next((one.tag for one in about if isinstance(one, Tag)), tag))
    if get_origin(annotation) in (list, dict, Union, types.UnionType):
        return {key: found for inner in get_args(annotation) for key, found in inner_documents(inner).items()}
    return {}


__all__ = ["engine_settings", "explain", "inner_documents", "settings"]
