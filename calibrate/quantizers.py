"""Finding ModelOpt's quantizers in a network. ModelOpt takes seconds to import, so this module is imported late."""

from __future__ import annotations

from typing import Any

from torch import nn

from .modelopt import TensorQuantizer


def enabled(model: nn.Module) -> dict[str, Any]:
    """Every quantizer that quantizes, by module path, in the order of the network."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, TensorQuantizer) and module.is_enabled
    }


def activations(model: nn.Module) -> dict[str, Any]:
    """The quantizers of activations, by module path."""
    return {name: found for name, found in enabled(model).items() if not name.endswith("weight_quantizer")}


def weights(model: nn.Module) -> dict[str, tuple[Any, nn.Module]]:
    """The quantizers of weights, by module path, each with the layer whose weight it quantizes."""
    return {
        name: (found, model.get_submodule(name.rpartition(".")[0]))
        for name, found in enabled(model).items()
        if name.endswith("weight_quantizer")
    }


__all__ = ["activations", "enabled", "weights"]
