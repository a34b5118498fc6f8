"""Which phase an epoch belongs to, and which step of the phase and of the whole stage a batch is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .loaders import Data


@dataclass(frozen=True)
class Schedule:
    """Epochs are counted from 1 through all phases, steps from 0.

    Attributes:
        epochs: of each phase.
        lengths: steps of an epoch in each phase.
    """

    epochs: tuple[int, ...]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, phases: Sequence[tuple[int, Data]]) -> Schedule:
        """From each phase's number of epochs and its data."""
        known: dict[int, int] = {}
        for _, data in phases:
            if id(data) not in known:
                known[id(data)] = _length(data.train)
        return cls(tuple(epochs for epochs, _ in phases), tuple(known[id(data)] for _, data in phases))

    @property
    def steps(self) -> int:
        """Of the whole stage."""
        return sum(epochs * length for epochs, length in zip(self.epochs, self.lengths, strict=True))

    def phase(self, epoch: int) -> int:
        """Index of the phase that an epoch belongs to."""
        return phase_of(self.epochs, epoch)

    def before(self, epoch: int) -> int:
        """Steps of the stage before an epoch."""
        starts = [0, *accumulate(self.epochs)]
        inside = [min(max(epoch - 1 - start, 0), epochs) for start, epochs in zip(starts, self.epochs, strict=False)]
        return sum(done * length for done, length in zip(inside, self.lengths, strict=True))

    def place(self, epoch: int, index: int) -> tuple[int, int]:
        """The step of its phase that a batch is, and how many steps the phase has."""
        phase = self.phase(epoch)
        first, length = sum(self.epochs[:phase]) + 1, self.lengths[phase]
        return (epoch - first) * length + index, self.epochs[phase] * length


def phase_of(epochs: Sequence[int], epoch: int) -> int:
    """Index of the phase that holds an epoch, of phases of so many epochs; the first with any for 0, or the last."""
    for index, end in enumerate(accumulate(epochs)):
        if epoch <= end and epochs[index]:
            return index
    return len(epochs) - 1


def _length(loader: Iterable[Any]) -> int:
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        return sum(1 for _ in loader)


__all__ = ["Schedule", "phase_of"]
