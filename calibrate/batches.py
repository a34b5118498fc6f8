"""Every batch that is used is looked at first: what is wrong with it is said with the loader's name and its number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from ..common.errors import TwofourError, UserError


def checked(loader: Iterable[Any], name: str) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Go through a loader of (inputs, targets), checking each batch.

    Args:
        loader: yields pairs of tensors with one length.
        name: what the loader is called in errors (`train`).

    Yields:
        The batch's number, from 0, its inputs and its targets.

    Raises:
        UserError: the loader fails or is empty; a batch is no pair of tensors, is ragged or empty, or holds NaN or
            infinity. The loader and the batch are named.
    """
    count = 0
    for count, batch in enumerate(_guarded(loader, name), start=1):
        yield (count - 1, *_pair(batch, f"{name} loader, batch {count - 1}"))
    if not count:
        _refuse_empty(name)


def unlabelled(loader: Iterable[Any], name: str) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Go through a loader whose labels are not to be used: of each batch only the inputs are looked at.

    Args:
        loader: yields tensors, or tuples whose first entry is one.
        name: what the loader is called in errors (`train`).

    Yields:
        The batch's number, from 0, its inputs, and an empty tensor, int64 (0,), where the targets would be.

    Raises:
        UserError: as `checked`, but for what concerns the targets.
    """
    count = 0
    for count, batch in enumerate(_guarded(loader, name), start=1):
        where = f"{name} loader, batch {count - 1}"
        inputs = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(inputs, torch.Tensor) or not inputs.ndim or not len(inputs):
            raise UserError("The batch holds no tensor of inputs.", where=where,
                            fix="The loader must yield inputs, alone or first in a tuple.")
        _check_finite(inputs, where)
        yield count - 1, inputs, torch.empty(0, dtype=torch.int64)
    if not count:
        _refuse_empty(name)


def _refuse_empty(name: str) -> None:
    raise UserError("The loader is empty: it has no batch.", where=f"{name} loader", fix="Give it samples.")


def _guarded(loader: Iterable[Any], name: str) -> Iterator[Any]:
    index = 0
    try:
        for batch in loader:
            yield batch
            index += 1
    except TwofourError:
        raise
    except Exception as error:
        raise UserError(
            f"The loader failed ({type(error).__name__}: {error}).",
            where=f"{name} loader, batch {index}",
            fix="Samples of one batch must have one shape, and the loader must be able to read them.",
        ) from error


def _pair(batch: Any, where: str) -> tuple[torch.Tensor, torch.Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not all(isinstance(x, torch.Tensor) for x in batch):
        raise UserError(
            "The batch is not a pair of tensors.", where=where, fix="The loader must yield (inputs, targets)."
        )
    inputs, targets = batch
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets) or not len(inputs):
        raise UserError(
            f"The batch is ragged or empty: inputs of shape {tuple(inputs.shape)}, targets of {tuple(targets.shape)}.",
            where=where,
            fix="Both need one entry per sample.",
        )
    _check_finite(inputs, where)
    return inputs, targets


def _check_finite(inputs: torch.Tensor, where: str) -> None:
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        raise UserError("The inputs hold NaN or infinity.", where=where, fix=f"Look at {_first_bad(inputs)}.")


def _first_bad(inputs: torch.Tensor) -> str:
    bad = (~torch.isfinite(inputs)).flatten(1).any(1) if inputs.ndim > 1 else ~torch.isfinite(inputs)
    return f"sample {int(bad.int().argmax())} of the batch"


def ask(model: nn.Module | Callable[..., Any], inputs: torch.Tensor, where: str) -> Any:
    """What the model returns for one batch, whatever it is.

    Args:
        model: takes the batch.
        inputs: (N, ...).
        where: loader and batch, for errors.

    Raises:
        UserError: the model refuses the batch.
    """
    try:
        return model(inputs)
    except TwofourError:
        raise
    except Exception as error:
        raise UserError(
            f"The model can't take this batch of shape {tuple(inputs.shape)} and type {inputs.dtype} "
            f"({type(error).__name__}: {_short(error)}).",
            where=where,
            fix="Make the data's shape and the model's arguments fit, or take a smaller batch if memory ran out.",
        ) from error


def answer(model: nn.Module | Callable[..., Any], inputs: torch.Tensor, where: str) -> torch.Tensor:
    """The model's logits for one batch.

    Args:
        model: takes the batch and returns one tensor.
        inputs: (N, ...).
        where: loader and batch, for errors.

    Raises:
        UserError: the model refuses the batch, or what it returns is no tensor.
    """
    logits = ask(model, inputs, where)
    if not isinstance(logits, torch.Tensor):
        raise UserError(
            f"The model returned {type(logits).__name__}, not one tensor of logits.",
            where=where,
            fix="Wrap it in a module whose forward() returns the logits.",
        )
    return logits


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


__all__ = ["answer", "ask", "checked", "unlabelled"]
