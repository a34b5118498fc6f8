"""Run a network once and follow its channels through everything that it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from ..placement.trace import run
from .atoms import ANY, NONE, Atoms


@dataclass(frozen=True)
class Source:
    """A parameter or buffer, or a view of one: its name, and the place of each element in it, flattened."""

    name: str
    index: torch.Tensor


@dataclass(frozen=True)
class Operand:
    """A tensor, and what is known of it: labels (int64 of its shape), a `Source`, or nothing."""

    value: torch.Tensor
    known: Source | torch.Tensor | None


@dataclass(frozen=True)
class Usage:
    """A matrix whose columns read channels and whose rows make some.

    Attributes:
        name: of the parameter.
        index: places in the flattened parameter, int64 (rows, columns, values of each).
        rows: atoms, int64 (rows,).
        columns: atoms, int64 (columns,).
    """

    name: str
    index: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor


@dataclass(frozen=True)
class Step:
    """One operation: an operator of ATen, its arguments with tensors as `Operand`, and what it made."""

    func: Any
    args: Any
    kwargs: Any
    result: Any

    @property
    def made(self) -> torch.Tensor:
        """The first tensor that it made."""
        return self.result if isinstance(self.result, torch.Tensor) else self.result[0]

    @property
    def operands(self) -> list[Operand]:
        """All tensors that it read."""
        return operands((self.args, self.kwargs))


def operands(values: Any) -> list[Operand]:
    """The tensors among arguments."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Operand)]


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Labels every tensor of a run: the atom of each element.

    Attributes:
        atoms: what is known of the channels.
        usages: the matrices met.
        vectors: shapes of the parameters whose elements have atoms of their own, by name.
        event: how many operations there were.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.atoms, self.event = Atoms(), 0
        self.usages: list[Usage] = []
        self.vectors: dict[str, torch.Size] = {}
        self._known: Any = WeakTensorKeyDictionary()
        named = [*model.named_parameters(), *model.named_buffers()]
        self._shapes = {name: value.shape for name, value in named}
        for name, value in named:
            self._known[value] = Source(name, torch.arange(value.numel()).view(value.shape))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and label what comes out."""
        from .rules import label

        kwargs = kwargs or {}
        if all(self._known.get(leaf) is None for leaf in _tensors((args, kwargs))):
            return func(*args, **kwargs)
        shown, named = tree_map(self._operand, (args, kwargs))
        result = func(*args, **kwargs)
        self.event += 1
        self._remember(result, label(self, Step(func, shown, named, result)))
        return result

    def _operand(self, value: Any) -> Any:
        return Operand(value, self._known.get(value)) if isinstance(value, torch.Tensor) else value

    def _remember(self, result: Any, labels: Any) -> None:
        if isinstance(result, torch.Tensor):
            if labels is not None:
                self._known[result] = labels
        elif isinstance(result, (tuple, list)):
            for one, its in zip(result, labels if isinstance(labels, (tuple, list)) else [labels], strict=False):
                self._remember(one, its)

    def labels(self, operand: Any) -> torch.Tensor:
        """An operand's labels; the elements of a parameter get atoms of their own."""
        if not isinstance(operand, Operand):
            return torch.tensor(ANY)
        if isinstance(operand.known, torch.Tensor):
            return operand.known
        if operand.known is not None:
            return self.elements(operand.known)
        same = operand.value.numel() > 0 and bool((operand.value == operand.value.flatten()[0]).all())
        return torch.full(operand.value.shape, ANY if same else NONE)

    def elements(self, source: Source) -> torch.Tensor:
        """An atom for every element of a parameter."""
        shape = self.vectors.setdefault(source.name, self._shapes[source.name])
        return self.atoms.named((source.name, "element"), shape.numel()) + source.index

    def matrix(self, source: Source, index: torch.Tensor, read: torch.Tensor) -> Usage:
        """A parameter is multiplied with channels.

        Args:
            source: the parameter.
            index: places in the flattened parameter, (rows, columns, values of each).
            read: atoms of what it is multiplied with, (columns,).
        """
        same = (one for one in self.usages if one.name == source.name and torch.equal(one.index, index))
        usage = next(same, None)
        if usage is None:
            rows, columns = (self._fresh((source.name, len(self.usages), axis), index.shape[axis]) for axis in (0, 1))
            usage = Usage(source.name, index, rows, columns)
            self.usages.append(usage)
        self.atoms.join(usage.columns, read, "it reads the network's input, or what has no channels")
        return usage

    def _fresh(self, key: tuple[str, int, int], count: int) -> torch.Tensor:
        return self.atoms.named(key, count) + torch.arange(count)


def trace(model: nn.Module, example: Any) -> Tracer:
    """Follow the channels of `model` in eval mode through one small batch.

    Args:
        model: without quantizers; its mode is put back.
        example: what forward() takes: a tensor, a tuple of arguments, or a mapping of them.

    Returns:
        The tracer, with everything that it learned; what the network returns is fixed.
    """
    training, tracer = model.training, Tracer(model)
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), tracer:
            answer = run(model.eval(), example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        model.train(training)
    for tensor in _tensors(answer):
        tracer.atoms.fix(tracer.labels(tracer._operand(tensor)), "they are what the network returns")
    return tracer


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


__all__ = ["Operand", "Source", "Step", "Tracer", "Usage", "operands", "trace"]
