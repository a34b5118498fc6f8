"""Architectures of timm, torchvision and transformers, built without downloading anything."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..common.errors import TwofourError, UserError
from ..common.lazy import require

ZOOS = ("timm", "torchvision", "transformers")


class PixelsToLogits(nn.Module):
    """A transformers classifier as a plain module: pixels in, logits out.

    Attributes:
        model: what is wrapped.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> logits, float32 (N, classes)."""
        logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
        return logits


def build_from_zoo(zoo: str, name: str, args: dict[str, Any]) -> Any:
    """Build an architecture with fresh weights.

    Args:
        zoo: `timm`, `torchvision` or `transformers`.
        name: the architecture (`resnet18`); for transformers the class (`ViTForImageClassification`).
        args: its arguments; for transformers the fields of its configuration.

    Raises:
        UserError: unknown name, or it doesn't take these arguments, or they ask for a download.
        MissingError: the package is missing or broken.
    """
    _no_download(zoo, args)
    where = f"model.factory: {zoo}:{name}"
    build = {"timm": _timm, "torchvision": _torchvision, "transformers": _transformers}[zoo](name, where)
    try:
        return build(args)
    except TwofourError:
        raise
    except Exception as error:
        raise UserError(
            f"{zoo} can't build {name} with these arguments ({type(error).__name__}: {error}).", where=where
        ) from error


def _no_download(zoo: str, args: dict[str, Any]) -> None:
    for key in ("pretrained", "weights", "weights_backbone"):
        if zoo != "transformers" and args.get(key):
            raise UserError(
                "twofour doesn't download weights.",
                where=f"model.args.{key}",
                fix="Save them to a file and name it in model.weights.",
            )


def _timm(name: str, where: str) -> Callable[[dict[str, Any]], Any]:
    timm = require("timm", extra="vision", purpose="A model of timm")
    _known(name, timm.list_models(), where)
    return lambda args: timm.create_model(name, **{"pretrained": False, **args})


def _torchvision(name: str, where: str) -> Callable[[dict[str, Any]], Any]:
    models = require("torchvision.models", extra="vision", purpose="A model of torchvision")
    _known(name, models.list_models(), where)
    return lambda args: models.get_model(name, **{"weights": None, **args})


def _transformers(name: str, where: str) -> Callable[[dict[str, Any]], Any]:
    transformers = require("transformers", extra="hf", purpose="A model of transformers")
    made = _class(transformers, name)
    config = getattr(made, "config_class", None)
    if config is None:
        known = [entry for entry in dir(transformers) if entry.endswith("ForImageClassification")]
        _known(name, known, where)
        raise UserError(f"{name} is no model that is built from a configuration.", where=where)
    return lambda args: PixelsToLogits(made(config(**args)))


def _class(package: Any, name: str) -> Any:
    try:
        return getattr(package, name, None)
    except Exception as error:  # the package imports its models late, so a broken one shows here
        require("transformers.does_not_import", extra="hf", purpose=f"{name} ({error})")
        return None


def _known(name: str, names: list[str], where: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, 3)
        fix = f"Did you mean {' or '.join(near)}?" if near else "Look at the package's list of models."
        raise UserError(f"There is no architecture called {name!r}.", where=where, fix=fix)


__all__ = ["ZOOS", "PixelsToLogits", "build_from_zoo"]
