"""Run a network once and write down what it computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ..seeds import steady
from .graph import Call, Graph
from .operations import NUMBERED, is_in_place, kind_of_function, kind_of_layer


def trace(model: nn.Module, example: Any) -> tuple[Graph, Any]:
    """Run `model` in eval mode on one small batch.

    Args:
        model: without quantizers; its mode is put back.
        example: what forward() takes: a tensor, a tuple of arguments, or a mapping of them.

    Returns:
        The graph, and what the network answered.
    """
    training = model.training
    tracer = _Tracer(model)
    try:
        with steady(), torch.no_grad(), ExitStack() as stack:
            tracer.watch(stack)
            answer = run(model.eval(), example)
    finally:
        model.train(training)
    tracer.graph.results = {tracer.number(tensor) for tensor in _tensors(answer)}
    return tracer.graph.finish(), answer


def run(model: nn.Module, example: Any) -> Any:
    """Call a network with a tensor, a tuple of arguments or a mapping of them."""
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example) if isinstance(example, (tuple, list)) else model(example)


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


class _Tracer(TorchFunctionMode):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.graph = model, Graph()
        self.names = {id(module): name for name, module in reversed(list(model.named_modules()))}
        self.stack: list[tuple[str, Counter[str]]] = []
        self.read: list[list[torch.Tensor]] = []
        self.layer = 0  # how deep inside a layer that is one call
        self.numbers: dict[int, int] = {}
        self.kept: list[torch.Tensor] = []

    def watch(self, stack: ExitStack) -> None:
        for module in self.model.modules():
            if isinstance(module, torch.jit.ScriptModule) and module is not self.model:
                continue
            before = module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True)
            after = module.register_forward_hook(self._leave)
            stack.callback(before.remove)
            stack.callback(after.remove)
        stack.enter_context(self)

    def number(self, tensor: torch.Tensor, new: bool = False) -> int:
        if new or id(tensor) not in self.numbers:
            self.numbers[id(tensor)] = len(self.kept)
            self.kept.append(tensor)  # or another tensor could get its id
            self.graph.shapes[len(self.kept) - 1] = tuple(tensor.shape)
        return self.numbers[id(tensor)]

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if module is self.model and not self.stack:
            self.graph.inputs = {self.number(tensor) for tensor in _tensors((args, kwargs))}
        self.read.append(_tensors((args, kwargs)))  # hooks of the layer itself may change them
        self.stack.append((self.names[id(module)], Counter()))
        self.layer += kind_of_layer(module) is not None

    def _leave(self, module: nn.Module, _args: Any, output: Any) -> None:
        self.stack.pop()
        read = self.read.pop()
        kind = kind_of_layer(module)
        self.layer -= kind is not None
        if kind is not None and not self.layer:
            name = self.names[id(module)]
            if kind == "other" and any(True for child in module.children()):
                self.graph.missed.append(f"{name} ({type(module).__name__} computes inside itself)")
            self._add(kind, name, read, output)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.layer or not self.stack:
            return func(*args, **kwargs)
        read = _tensors((args, kwargs))
        numbers = [self.number(tensor) for tensor in read]
        kind = kind_of_function(func, args, kwargs)
        result = func(*args, **kwargs)
        self._function(kind, func, read, numbers, result)
        return result

    def _function(
        self, kind: str | None, func: Callable[..., Any], read: list[torch.Tensor], numbers: list[int], result: Any
    ) -> None:
        made = _tensors(result)
        if not made:
            return
        module, counts = self.stack[-1]
        name, index = f"{module}.{func.__name__}".removeprefix("."), None
        if kind in NUMBERED:
            index = counts[str(kind)]
            counts[str(kind)] += 1
            name = f"{module}.{kind}_{index}".removeprefix(".")
        if kind in ("weighted function", "product") and sum(tensor.is_floating_point() for tensor in read) > 1:
            self.graph.missed.append(f"{name} (a function with weights, not a layer)")
        if made[0] in _Same(read) and not is_in_place(func) and kind != "activation":
            return  # `contiguous` and the like gave back what they got
        outputs = tuple(self.number(tensor, new=True) for tensor in made)
        self.graph.calls.append(Call(kind or "other", name, module, index, tuple(numbers), outputs))

    def _add(self, kind: str, name: str, read: list[torch.Tensor], output: Any) -> None:
        made = _tensors(output)
        numbers = tuple(self.number(tensor) for tensor in read)
        if kind == "same" and made and made[0] in _Same(read):
            return
        outputs = tuple(self.number(tensor, new=True) for tensor in made)
        self.graph.calls.append(Call(kind, name, name, None, numbers, outputs))


class _Same:
    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self.ids = {id(tensor) for tensor in tensors}

    def __contains__(self, tensor: object) -> bool:
        return id(tensor) in self.ids


__all__ = ["run", "trace"]
