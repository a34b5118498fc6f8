"""Run a network once and write down which values its modules read and made, and from which others they come."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ..checks import answer
from ..seeds import steady

_SUMS = ("add", "add_", "__add__", "__radd__", "__iadd__")


@dataclass(frozen=True)
class Value:
    """What an operation made.

    Attributes:
        parents: numbers of the values that it was made of; parameters and constants are none.
        sum: it is the sum of two of them.
        weighted: weights of two axes or more went in too.
        shape: of the tensor.
    """

    parents: tuple[int, ...]
    sum: bool
    weighted: bool
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Visit:
    """One call of a module that takes one tensor and returns one: numbers of both, and of the first value within."""

    read: int
    made: int
    since: int


@dataclass
class Record:
    """Everything that happened.

    Attributes:
        values: by number, the network's inputs first.
        visits: by the module's path, in the order in which the modules were done; a call of another kind is None.
    """

    values: list[Value] = field(default_factory=list)
    visits: dict[str, list[Visit | None]] = field(default_factory=lambda: defaultdict(list))


def watch(model: nn.Module, inputs: torch.Tensor, where: str) -> Record:
    """Run `model` in eval mode on a small batch; its mode and the random states are put back.

    Args:
        model: without quantizers.
        inputs: (N, ...), on the network's device.
        where: loader and batch, for errors.

    Raises:
        UserError: the network can't run on it.
    """
    training, watcher = model.training, _Watcher(model)
    model.eval()
    try:
        with steady(), torch.no_grad(), ExitStack() as stack:
            watcher.attach(stack)
            answer(model, inputs, where)
    finally:
        model.train(training)
    return watcher.record


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


class _Watcher(TorchFunctionMode):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.record = model, Record()
        self.names = {id(module): name for name, module in reversed(list(model.named_modules()))}
        self.entered: list[tuple[int | None, int]] = []
        self.numbers: dict[int, int] = {}
        self.alive: list[torch.Tensor] = []

    def attach(self, stack: ExitStack) -> None:
        for module in self.model.modules():
            if not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._leave).remove)
        stack.enter_context(self)

    def _note(self, tensor: torch.Tensor, parents: tuple[int, ...], kind: tuple[bool, bool]) -> None:
        self.numbers[id(tensor)] = len(self.record.values)
        self.alive.append(tensor)  # or another tensor could get its id
        self.record.values.append(Value(parents, *kind, tuple(tensor.shape)))

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        read = _tensors((args, kwargs))
        if module is self.model and not self.entered:
            for tensor in read:
                self._note(tensor, (), (False, False))
        number = self.numbers.get(id(read[0])) if len(read) == 1 else None
        self.entered.append((number, len(self.record.values)))

    def _leave(self, module: nn.Module, _args: Any, output: Any) -> None:
        read, since = self.entered.pop()
        made = self.numbers.get(id(output))
        found = None if read is None or made is None else Visit(read, made, since)
        self.record.visits[self.names[id(module)]].append(found)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        read = _tensors((args, kwargs))
        parents = tuple(self.numbers[id(tensor)] for tensor in read if id(tensor) in self.numbers)
        weighted = any(tensor.ndim > 1 for tensor in read if id(tensor) not in self.numbers)
        result = func(*args, **(kwargs or {}))
        if parents:
            total = len(parents) == len(read) == 2 and getattr(func, "__name__", "") in _SUMS
            for tensor in _tensors(result):
                self._note(tensor, parents, (total, weighted))
        return result


__all__ = ["Record", "Value", "Visit", "watch"]
