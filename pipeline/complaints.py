"""A validation error in words: what is wrong with the recipe, where, and the nearest thing that would be right."""

from __future__ import annotations

import difflib
import types
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..common.errors import UserError

T = TypeVar("T", bound=BaseModel)


def explain(error: ValidationError, model: type[BaseModel], path: Path) -> UserError:
    """The first complaint of `error` as one paragraph, with the number of the others."""
    complaints = error.errors(include_url=False)
    first = next((item for item in complaints if item["type"] == "extra_forbidden"), complaints[0])
    location = tuple(part for part in first["loc"])
    key = ".".join(str(part) for part in location)
    rest = f" ({len(complaints) - 1} more to mend after this one.)" if len(complaints) > 1 else ""
    if first["type"] == "extra_forbidden":
        what, fix = _unknown(model, location)
    elif first["type"] == "missing":
        what, fix = f"The key {key!r} is missing.", "Add it; recipes/digits-resnet.yaml shows how."
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


def _unknown(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, str]:
    name = str(location[-1])
    known = _keys(_at(model, location[:-1]))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    place = ".".join(str(part) for part in location[:-1])
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


def _at(model: type[BaseModel] | None, location: tuple[int | str, ...]) -> type[BaseModel] | None:
    for part in location:
        if model is None or isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        model = inner_document(fields[part].annotation) if part in fields else None
    return model


def inner_document(annotation: Any) -> type[BaseModel] | None:
    """The document inside `X`, `X | None` or `list[X]`."""
    if isinstance(annotation, type) and not get_origin(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (list, Union, types.UnionType):
        return next((found for found in map(inner_document, get_args(annotation)) if found), None)
    return None


__all__ = ["explain", "inner_document", "settings"]
