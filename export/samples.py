"""Inputs and outputs of a network as named tensors, whatever shape its forward() has."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from ..common.errors import UserError

Tensors = dict[str, torch.Tensor]
Array = np.ndarray[Any, Any]


def named_inputs(network: nn.Module, inputs: object) -> Tensors:
    """A batch as a dictionary: a tensor or a tuple takes the names of forward()'s arguments, a mapping keeps its own.

    Raises:
        UserError: it holds something that is no tensor, or more tensors than forward() takes.
    """
    if isinstance(inputs, Mapping):
        named = dict(inputs)
    else:
        values = list(inputs) if isinstance(inputs, Sequence) else [inputs]
        named = dict(zip(argument_names(network, len(values)), values, strict=True))
    wrong = [name for name, value in named.items() if not isinstance(value, torch.Tensor)]
    if wrong or not named:
        raise UserError(
            f"The loader gives inputs that are no tensors: {', '.join(map(str, wrong)) or 'nothing at all'}.",
            fix="Let it yield (inputs, targets), with inputs a tensor, a tuple of tensors or a dict of tensors.",
        )
    return named


def argument_names(network: nn.Module, count: int) -> list[str]:
    """The names of the first `count` arguments of forward(); `*args` gives `args_0`, `args_1`, ..."""
    names: list[str] = []
    for parameter in inspect.signature(network.forward).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind == parameter.VAR_POSITIONAL:
            names.extend(f"{parameter.name}_{index}" for index in range(count))
    if len(names) < count:
        raise UserError(f"The loader gives {count} inputs, but the network's forward() takes {len(names)}.")
    return names[:count]


def named_outputs(answer: object) -> Tensors:
    """What forward() returned: a tensor is `logits`, a tuple `output_0`, ..., a mapping its own keys.

    Raises:
        UserError: there is no tensor in it.
    """
    if isinstance(answer, torch.Tensor):
        return {"logits": answer}
    items = answer.items() if isinstance(answer, Mapping) else enumerate(answer) if isinstance(answer, Sequence) else ()
    named = {
        key if isinstance(key, str) else f"output_{key}": value
        for key, value in items
        if isinstance(value, torch.Tensor)
    }
    if not named:
        raise UserError(f"The network returns {type(answer).__name__}, in which there is no tensor to export.")
    return named


class Adapter(nn.Module):
    """Calls a network with positional tensors and returns a tuple of tensors, as both exporters like it."""

    def __init__(self, network: nn.Module, names: list[str], by_name: bool) -> None:
        super().__init__()
        self.network, self.names, self.by_name = network, names, by_name

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One tensor per name, in order."""
        if self.by_name:
            return tuple(named_outputs(self.network(**dict(zip(self.names, tensors, strict=True)))).values())
        return tuple(named_outputs(self.network(*tensors)).values())


def collect(network: nn.Module, loader: Iterable[Any], count: int) -> tuple[dict[str, Array], Array]:
    """The first `count` samples of a loader of (inputs, targets); fewer where it holds fewer.

    Raises:
        UserError: the loader is empty, or its batches can't be joined.
    """
    inputs: list[dict[str, Array]] = []
    targets: list[Array] = []
    taken = 0
    for number, batch in enumerate(loader):
        if taken >= count:
            break
        named, target = _batch(network, batch, number)
        inputs.append(named)
        targets.append(target)
        taken += len(target)
    if not taken:
        raise UserError("The validation loader is empty: there is nothing to record in the bundle.")
    return _join(inputs, count), _stack(targets, "targets")[:count]


def _batch(network: nn.Module, batch: object, number: int) -> tuple[dict[str, Array], Array]:
    if not isinstance(batch, Sequence) or len(batch) != 2:
        raise UserError("The validation loader must yield (inputs, targets).", where=f"batch {number}")
    named = {name: value.detach().cpu().numpy() for name, value in named_inputs(network, batch[0]).items()}
    target = torch.as_tensor(batch[1]).detach().cpu().numpy()
    sizes = {len(value) if value.ndim else 0 for value in chain(named.values(), [target])}
    if len(sizes) != 1 or 0 in sizes:
        raise UserError("Inputs and targets of one batch differ in their number of samples.", where=f"batch {number}")
    return named, target


def _join(batches: list[dict[str, Array]], count: int) -> dict[str, Array]:
    if any(batch.keys() != batches[0].keys() for batch in batches):
        raise UserError("The batches of the validation loader have different inputs.")
    return {name: _stack([batch[name] for batch in batches], name)[:count] for name in batches[0]}


def _stack(arrays: list[Array], name: str) -> Array:
    try:
        return np.concatenate(arrays)
    except ValueError as error:
        raise UserError(
            f"The batches of the validation loader can't be joined: {name} has different shapes in them.",
            fix="Let the loader give samples of one shape (pad or crop them).",
        ) from error


__all__ = ["Adapter", "Tensors", "argument_names", "collect", "named_inputs", "named_outputs"]
