"""A placement in the making: quantizers at operands, and which of them must have one scale."""

from __future__ import annotations

from collections.abc import Iterable

from .graph import MOVES, Call, Graph
from .operations import OPERANDS, OUTPUT
from .placement import Placement, Site

Operand = tuple[Call, int]


class Draft:
    """Collects what rules decide about one graph.

    Tensors that hold the same values in another order (views, dropout, max pooling) are one to it: all quantizers that
    read them are shared, so that an engine quantizes once.

    Args:
        graph: what the network computes.
        weighted: paths of the layers whose inputs and weights can be quantized.
        taken: paths of modules and attributes that the network has.
        closed: paths of modules that can't be given a child.
    """

    def __init__(self, graph: Graph, weighted: Iterable[str], taken: set[str], closed: set[str]) -> None:
        self.graph, self.weighted, self.taken, self.closed = graph, set(weighted), taken, closed
        self.missed = list(graph.missed)
        self._parent: dict[int, int] = {}
        self._points: dict[str, list[int]] = {}
        self._read: set[tuple[int, int]] = set()
        self._named: dict[str, str] = {}
        self._sites: dict[str, Site] = {}
        for call in graph.calls:
            if call.kind in MOVES and call.inputs:
                self.tie(call.inputs[0], *call.outputs)

    def tie(self, *tensors: int) -> None:
        """Whatever quantizes these tensors does it with one scale."""
        first = self._root(tensors[0])
        for tensor in tensors[1:]:
            self._parent[self._root(tensor)] = first

    def _root(self, tensor: int) -> int:
        while (parent := self._parent.get(tensor, tensor)) != tensor:
            tensor = parent
        return tensor

    def has(self, operand: Operand) -> bool:
        """This operand is quantized."""
        return (id(operand[0]), operand[1]) in self._read

    def quantize_input(self, call: Call, operand: int) -> None:
        """Put a quantizer at one operand of a call."""
        if self._is_closed(call):
            return
        self._read.add((id(call), operand))
        names = OPERANDS.get(call.kind, ("input_quantizer",))
        self._point(self._owner(call), names[min(operand, len(names) - 1)], call.inputs[operand])

    def quantize_softmax(self, call: Call) -> None:
        """Put a quantizer behind the softmax inside an attention."""
        if not self._is_closed(call):
            self._points[f"{self._owner(call)}.softmax_quantizer"] = []

    def quantize_output(self, call: Call) -> None:
        """Put a quantizer behind a call."""
        if call.index is None and self.graph.repeated(call.module):
            self.missed.append(f"{call.name}.{OUTPUT} (the layer is called more than once)")
        elif not self._is_closed(call):
            self._point(self._owner(call), OUTPUT, call.outputs[0])

    def _is_closed(self, call: Call) -> bool:
        if call.index is None or call.module not in self.closed:
            return False
        self.missed.append(f"{call.name} (computed by a container of layers, which can't hold a quantizer)")
        return True

    def _point(self, owner: str, name: str, tensor: int) -> None:
        path = f"{owner}.{name}".removeprefix(".")
        self._points.setdefault(path, []).append(tensor)
        self.tie(*self._points[path])

    def _owner(self, call: Call) -> str:
        if call.index is None:
            return call.name
        if call.name not in self._named:
            short = f"{call.kind}_{call.index}"
            path = f"{call.module}.{short}".removeprefix(".")
            while path in self.taken:
                short, path = f"{short}_", f"{path}_"
            self._named[call.name] = path
            self._sites[path] = Site(module=call.module, kind=call.kind, index=call.index, name=short)
        return self._named[call.name]

    def points(self) -> set[str]:
        """The names of all quantizers of activations so far."""
        return set(self._points)

    def finish(self, policy: str | list[str], weights: list[str], wanted: set[str] | None = None) -> Placement:
        """The placement.

        Args:
            policy: what was asked for.
            weights: names of the quantizers of weights.
            wanted: names to keep. Defaults to all.
        """
        groups: dict[int, list[str]] = {}
        alone = [[name] for name, tensors in self._points.items() if not tensors]
        for name, tensors in self._points.items():
            if tensors:
                groups.setdefault(self._root(tensors[0]), []).append(name)
        every = [*groups.values(), *alone, *([name] for name in weights)]
        kept = [[name for name in names if wanted is None or name in wanted] for names in every]
        quantizers = [names for names in kept if names]
        used = {name.rpartition(".")[0] for names in quantizers for name in names}
        sites = [site for path, site in self._sites.items() if path in used]
        return Placement(policy=policy, sites=sites, quantizers=quantizers, missed=sorted(set(self.missed)))


__all__ = ["Draft", "Operand"]
