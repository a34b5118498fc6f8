"""What a network computes, as the placement needs to know it: calls, and the tensors between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

MOVES = ("view", "same")
CARRIES = (*MOVES, "slice", "activation")


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a function.

    Attributes:
        kind: `weighted`, `add`, `cat`, `pool`, `matmul`, `attention`, `norm`, `activation`, `same`, `view`, `slice`,
            or what else there is.
        name: module path of a layer; of a function its module's path and its number: `blocks.0.add_1`.
        module: path of the layer, or of the module in whose forward() the function stands.
        index: how many functions of the kind came before it there; None for a layer.
        inputs: numbers of the tensors read, in order; a concatenation's parts each count.
        outputs: numbers of the tensors made.
    """

    kind: str
    name: str
    module: str
    index: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass
class Graph:
    """The calls of one forward(), in order.

    Attributes:
        calls: in the order of the computation.
        results: tensors that the network returns.
        shapes: of every tensor.
        missed: what could not be looked into, with the reason, for people.
    """

    calls: list[Call] = field(default_factory=list)
    results: set[int] = field(default_factory=set)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    inputs: set[int] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)

    def finish(self) -> Graph:
        """Index who made and who reads each tensor."""
        self.maker = {tensor: call for call in self.calls for tensor in call.outputs}
        self.readers: dict[int, list[tuple[Call, int]]] = defaultdict(list)
        self.depth: dict[int, int] = defaultdict(int)
        for call in self.calls:
            for operand, tensor in enumerate(call.inputs):
                self.readers[tensor].append((call, operand))
            deepest = max((self.depth[tensor] for tensor in call.inputs), default=0)
            for tensor in call.outputs:
                self.depth[tensor] = deepest + (call.kind == "weighted")
        return self

    def computed(self, tensor: int) -> bool:
        """It depends on the network's input; a parameter doesn't."""
        return tensor in self.maker or tensor in self.inputs

    def sole_reader(self, tensor: int) -> tuple[Call, int] | None:
        """Who reads it, where nobody else does."""
        readers = self.readers[tensor]
        return readers[0] if len(readers) == 1 and tensor not in self.results else None

    def behind(self, tensor: int) -> Call | None:
        """The weighted layer whose epilogue would hold what `tensor` feeds: only BN and nothing else lies between."""
        call = self.maker.get(tensor)
        while call is not None and self.sole_reader(tensor):
            if call.kind == "weighted":
                return call
            if call.kind not in ("norm", "same") or not call.inputs:
                return None
            tensor = call.inputs[0]
            call = self.maker.get(tensor)
        return None

    def ends(self, tensor: int, kinds: tuple[str, ...] = CARRIES) -> Iterator[tuple[Call, int]]:
        """Who reads a tensor in the end, through calls of these kinds."""
        for call, operand in self.readers[tensor]:
            if call.kind in kinds:
                for output in call.outputs:
                    yield from self.ends(output, kinds)
            else:
                yield call, operand

    def repeated(self, module: str) -> bool:
        """A layer is called more than once."""
        return sum(call.module == module and call.index is None for call in self.calls) > 1


__all__ = ["CARRIES", "MOVES", "Call", "Graph"]
