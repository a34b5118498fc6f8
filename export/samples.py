"""Inputs and outputs of a network as named tensors, whatever shape its forward() has."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import length_hint
from typing import Any

import numpy as np
import torch
from torch import nn

from ..common.console import progress
from ..common.errors import UserError
from .reservoir import Reservoir

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

    Tensors deeper inside are `key_0`, `key_name`; `logits` comes first, as the main output. What is no tensor is left
    out.

    Raises:
        UserError: there is no tensor in it.
    """
    if isinstance(answer, torch.Tensor):
        return {"logits": answer}
    named = dict(_leaves(answer, "" if isinstance(answer, Mapping) else "output"))
    if not named:
        raise UserError(f"The network returns {type(answer).__name__}, in which there is no tensor to export.")
    return {name: named[name] for name in sorted(named, key=lambda name: name != "logits")}


def _leaves(answer: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(answer, torch.Tensor):
        yield name, answer
    elif isinstance(answer, (Mapping, Sequence)) and not isinstance(answer, str):
        for key, value in answer.items() if isinstance(answer, Mapping) else enumerate(answer):
            yield from _leaves(value, f"{name}_{key}" if name else str(key))


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
    """A uniform random sample of a loader of (inputs, targets), always the same, in one pass and in the loader's order.

    Args:
        network: whose forward() names the inputs.
        loader: gone through once, to its end.
        count: number of samples; all are taken where the loader holds no more. Memory holds these and one batch.

    Returns:
        Inputs by name and targets, the samples along the first axis.

    Raises:
        UserError: the loader is empty, or its batches can't be joined.
    """
    kept: Reservoir[tuple[dict[str, Array], Array]] = Reservoir(count)
    names: set[str] | None = None
    with progress("choose samples", length_hint(loader) or None) as advance:
        for number, batch in enumerate(loader):
            named, targets = _batch(network, batch, number)
            if names is not None and named.keys() != names:
                raise UserError("The batches of the validation loader have different inputs.", where=f"batch {number}")
            names = set(named)
            for row in range(len(targets)):
                kept.offer(partial(_row, named, targets, row))
            advance(1)
    return _join(kept.rows())


def _batch(network: nn.Module, batch: object, number: int) -> tuple[dict[str, Array], Array]:
    if not isinstance(batch, Sequence) or len(batch) != 2:
        raise UserError("The validation loader must yield (inputs, targets).", where=f"batch {number}")
    named = {name: value.detach().cpu().numpy() for name, value in named_inputs(network, batch[0]).items()}
    target = torch.as_tensor(batch[1]).detach().cpu().numpy()
    sizes = {len(value) if value.ndim else 0 for value in chain(named.values(), [target])}
    if len(sizes) != 1 or 0 in sizes:
        raise UserError("Inputs and targets of one batch differ in their number of samples.", where=f"batch {number}")
    return named, target


def _row(named: Mapping[str, Array], targets: Array, row: int) -> tuple[dict[str, Array], Array]:
    return {name: value[row].copy() for name, value in named.items()}, targets[row].copy()  # a view keeps its batch


def _join(rows: list[tuple[dict[str, Array], Array]]) -> tuple[dict[str, Array], Array]:
    if not rows:
        raise UserError("The validation loader is empty: there is nothing to record in the bundle.")
    inputs = {name: _stack([named[name] for named, _ in rows], name) for name in rows[0][0]}
    return inputs, _stack([target for _, target in rows], "targets")


def _stack(arrays: list[Array], name: str) -> Array:
    try:
        return np.stack(arrays)
    except ValueError as error:
        raise UserError(
            f"The batches of the validation loader can't be joined: {name} has different shapes in them.",
            fix="Let the loader give samples of one shape (pad or crop them).",
        ) from error


__all__ = ["Adapter", "Tensors", "argument_names", "collect", "named_inputs", "named_outputs"]
