"""Quantizers for what forward() computes between its layers, without rewriting forward().

An `Operation` is a child of the module in whose forward() the computation stands (`a + b`, `torch.cat`, ...), known by
its kind and by how many of that kind came before it in the same call. While a network runs, a mode of PyTorch hands
each function to the module being called. Nothing is traced or copied: state dict, training, both exporters, wrappers
such as DistributedDataParallel and activation checkpointing of whole layers see ordinary modules.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .attention import attend
from .operations import NUMBERED, OUTPUT, is_in_place, kind_of_function


class Operation(nn.Module):
    """A computation between layers, and the quantizers of its operands.

    Attributes:
        kind: one of `NUMBERED`.
        index: how many of its kind come before it in one call of the module it belongs to.
    """

    def __init__(self, kind: str, index: int) -> None:
        super().__init__()
        self.kind, self.index = kind, index

    def forward(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Do `function(*args, **kwargs)` on quantized operands."""
        if self.kind == "attention":
            return attend(self.quantize, *args, **kwargs)
        if self.kind == "cat":
            parts = [self.quantize("input_quantizer", part) for part in args[0]]
            return self.quantize(OUTPUT, function(parts, *args[1:], **kwargs))
        return self.quantize(OUTPUT, self._compute(function, list(args), kwargs))

    def _compute(self, function: Callable[..., Any], args: list[Any], kwargs: Mapping[str, Any]) -> Any:
        names = ("input_quantizer_a", "input_quantizer_b") if self.kind in ("add", "matmul") else ("input_quantizer",)
        replaced = names[0] in self._modules
        for index, name in enumerate(names):
            args[index] = self.quantize(name, args[index])
        if is_in_place(function) and replaced:  # what `x += y` binds is the sum, wherever it lies
            return torch.add(*args, **kwargs)
        return function(*args, **kwargs)

    def quantize(self, name: str, value: Any) -> Any:
        """`value` through the quantizer called `name`, or as it is where there is none."""
        quantizer = self._modules.get(name)
        return value if quantizer is None else quantizer(value)


class _Frame:
    def __init__(self, module: nn.Module) -> None:
        self.counts: Counter[str] = Counter()
        children = [child for child in module._modules.values() if isinstance(child, Operation)]
        self.operations = {(child.kind, child.index): child for child in children}


class _Thread(threading.local):
    def __init__(self) -> None:
        self.frames: list[_Frame] = []
        self.modes: list[_Mode] = []


_thread = _Thread()


class _Mode(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        frame = _thread.frames[-1]
        kind = kind_of_function(func, args, kwargs) if frame.operations else None
        if kind not in NUMBERED:
            return func(*args, **kwargs)
        found = frame.operations.get((kind, frame.counts[kind]))
        frame.counts[kind] += 1
        return found(func, args, kwargs) if found is not None else func(*args, **kwargs)


def _enter(module: nn.Module, _args: Any) -> None:
    if not _thread.frames:
        mode = _Mode()
        mode.__enter__()  # type: ignore[no-untyped-call]
        _thread.modes.append(mode)
    _thread.frames.append(_Frame(module))


def _leave(_module: nn.Module, _args: Any, _output: Any) -> None:
    if _thread.frames:
        _thread.frames.pop()
    if not _thread.frames and _thread.modes:
        _thread.modes.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]


def _quantize_input(module: nn.Module, args: tuple[Any, ...]) -> Any:
    return (module._modules["input_quantizer"](args[0]), *args[1:])  # type: ignore[misc]


def _quantize_output(module: nn.Module, _args: Any, output: Any) -> Any:
    return module._modules[OUTPUT](output)  # type: ignore[misc]


def listen(model: nn.Module) -> None:
    """Let the operations of `model` hear what is computed, from now on.

    Every module gets hooks, quantizers too, so that what a module computes is never taken for its caller's.
    """
    for module in model.modules():
        if not isinstance(module, (Operation, torch.jit.ScriptModule)):
            module.register_forward_pre_hook(_enter, prepend=True)
            module.register_forward_hook(_leave, always_call=True)


def attach(module: nn.Module, name: str) -> None:
    """Let a layer's child called `input_quantizer` or `output_quantizer` quantize what goes in or comes out."""
    if name == OUTPUT:
        module.register_forward_hook(_quantize_output)
    else:
        module.register_forward_pre_hook(_quantize_input)


__all__ = ["Operation", "attach", "listen"]
