"""Finding and calling the callables that a recipe names for its model and its data."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from torch import nn

from ..common.errors import TwofourError, UserError
from .config import DataConfig, ModelConfig
from .loaders import Data
from .patches import patches_as_linear
from .seeds import steady
from .weights import load_weights
from .zoo import ZOOS, build_from_zoo

_SPELLING = "Write it as package.module:callable, such as twofour.training.models:tiny_resnet."


def build_model(config: ModelConfig, key: str = "model") -> nn.Module:
    """The network of a recipe, with its weights where the recipe names some.

    Args:
        config: factory, its arguments, weights. Fresh weights come from PyTorch's global random state.
        key: the recipe's key, for errors. Defaults to `model`.

    Raises:
        UserError: the factory doesn't import, isn't callable, raises or returns no nn.Module; the weights don't fit.
        MissingError: the package of a `timm:`, `torchvision:` or `transformers:` factory is missing or broken.
    """
    zoo, _, name = config.factory.partition(":")
    built = (
        build_from_zoo(zoo, name, config.args) if zoo in ZOOS else call(config.factory, config.args, f"{key}.factory")
    )
    if not isinstance(built, nn.Module):
        raise UserError(
            f"The factory returned {type(built).__name__}, not a torch.nn.Module.",
            where=f"{key}.factory: {config.factory}",
        )
    if config.patches == "linear":
        patches_as_linear(built)
    if config.weights is not None:
        load_weights(built, config.weights)
    return built


def build_data(config: DataConfig) -> Data:
    """The loaders of a recipe.

    Raises:
        UserError: the factory doesn't import, isn't callable, raises, or returns an object without the three loaders.
    """
    with steady():  # a split drawn by the factory is the same in every stage
        built = call(config.factory, config.args, "data.factory")
    for name in ("train", "val", "calibration"):
        if not hasattr(getattr(built, name, None), "__iter__"):
            raise UserError(
                f"The factory returned {type(built).__name__}, which has no loader called `{name}`.",
                where=f"data.factory: {config.factory}",
                fix="Return an object with the loaders train, val and calibration, each of (inputs, targets).",
            )
        loader = getattr(built, name)
        if iter(loader) is loader:
            raise UserError(
                f"The loader `{name}` is an iterator: it can be gone through only once.",
                where=f"data.factory: {config.factory}",
                fix="Return a list or a DataLoader.",
            )
    return built  # type: ignore[no-any-return]


def call(factory: str, args: dict[str, Any], key: str) -> Any:
    """Import `package.module:callable`, also from the current directory, and call it.

    Args:
        factory: what the recipe names.
        args: its keyword arguments.
        key: the recipe's key, for errors.

    Raises:
        UserError: it doesn't import, isn't callable, doesn't take these arguments, or raises.
    """
    where = f"{key}: {factory}"
    made = _resolve(factory, where)
    try:
        return made(**args)
    except TwofourError:
        raise
    except Exception as error:
        wrong = isinstance(error, TypeError) and not _takes(made, args)
        said = f"doesn't take these arguments ({error})" if wrong else f"raised {type(error).__name__}: {error}"
        raise UserError(f"The factory {said}.", where=where, fix=_place(error)) from error


def _takes(made: Callable[..., Any], args: dict[str, Any]) -> bool:
    try:
        inspect.signature(made).bind(**args)
    except (TypeError, ValueError):
        return False
    return True


def _place(error: Exception) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return f"It was raised in {step.tb_frame.f_code.co_filename}, line {step.tb_lineno}." if step else ""


def _resolve(factory: str, where: str) -> Callable[..., Any]:
    module, colon, path = factory.partition(":")
    if not (colon and module and path):
        raise UserError("This is no factory.", where=where, fix=_SPELLING)
    found = _import(module, where)
    for part in path.split("."):
        if not hasattr(found, part):
            raise UserError(f"The module {module} has nothing called {path}.", where=where, fix=_SPELLING)
        found = getattr(found, part)
    if not callable(found):
        raise UserError(f"{path} is a {type(found).__name__} and can't be called.", where=where, fix=_SPELLING)
    return found  # type: ignore[no-any-return]


def _import(module: str, where: str) -> Any:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except TwofourError:
        raise
    except Exception as error:
        raise UserError(
            f"The module {module} doesn't import ({type(error).__name__}: {error}).",
            where=where,
            fix="Install the package, or run from the folder that holds the module.",
        ) from error


__all__ = ["build_data", "build_model", "call"]
