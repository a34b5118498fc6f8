"""What layers inside a network compute, caught by hooks while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ...common.errors import UserError


@contextmanager
def caught(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Fill a dict with the layers' outputs, by path, whenever `model` runs within the block.

    Of an output that is a tuple, list or mapping, the first tensor counts; a layer that runs several times leaves its
    last output. Gradients flow through what is caught.

    Args:
        model: the network, or its wrapper for several processes.
        layers: paths of its modules.

    Raises:
        UserError: the network has no such layer.
    """
    found: dict[str, torch.Tensor] = {}
    handles = [_module(model, path).register_forward_hook(_keeper(found, path)) for path in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _module(model: nn.Module, path: str) -> nn.Module:
    bare = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    try:
        return bare.get_submodule(path)
    except AttributeError as error:
        raise UserError(f"The network has no layer called {path!r}.", where="training: gpusq: critical",
                        fix="Teacher and student must be the same architecture.") from error


def _keeper(found: dict[str, torch.Tensor], path: str) -> Any:
    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        tensor = _first(output)
        if tensor is not None:
            found[path] = tensor

    return keep


def _first(output: Any) -> torch.Tensor | None:
    if isinstance(output, torch.Tensor):
        return output
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, (tuple, list)) else ()
    return next((part for part in parts if isinstance(part, torch.Tensor)), None)


__all__ = ["caught"]
