"""Greedy passes over the windows of a matrix, and escapes from where they end."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .clock import Clock
from .columns import Features
from .partitions import STRIPE, in_place

_PATIENCE = 32
"""Moves in a row that turn out to gain nothing, before a pass takes the rest for rounding too."""
_CYCLE = 4
"""Stripes that an escape changes."""


class Window(Protocol):
    """What every group of two stripes, or of three, can gain by dealing its columns anew.

    Attributes:
        work: groups evaluated so far, times rows.
    """

    work: int

    def update(self, stripes: NDArray[np.int64]) -> None:
        """Evaluate all groups with one of the given stripes anew."""

    def candidates(self, least: float) -> NDArray[np.int64]:
        """Groups that gain more than `least`, int64 (n, stripes), the largest gain first."""

    def partition(self, group: NDArray[np.int64]) -> NDArray[np.int64]:
        """How the columns of that group are dealt best, int64 (stripes, 4)."""

    def forget(self, group: NDArray[np.int64]) -> None:
        """That group gains nothing after all."""

    def save(self) -> Any:
        """A copy of what is known, for `restore`."""

    def restore(self, saved: Any) -> None:
        """Put back what `save` gave."""


class Greedy:
    """An order of the columns that only gets better, but for its escapes.

    Args:
        features: the order to start from; changed in place.
        window: of that order; kept up to date.
        least: gains up to this count as none.
        clock: when to stop.
    """

    def __init__(self, features: Features, window: Window, least: float, clock: Clock) -> None:
        self.features, self.window, self.least, self.clock = features, window, least, clock

    @property
    def order(self) -> NDArray[np.int64]:
        """The order of the columns, int64."""
        order: NDArray[np.int64] = self.features.order
        return order

    def converge(self) -> set[int]:
        """Passes until one changes nothing, or time is up. Returns the stripes that changed."""
        changed: set[int] = set()
        while not self.clock.over and (touched := self._pass()):
            changed |= touched
            self._refresh(touched)
        return changed

    def _pass(self) -> set[int]:
        """Apply the groups that gain most, each only if none of its stripes changed before in this pass."""
        touched: set[int] = set()
        vain = 0
        for group in self.window.candidates(self.least):
            if touched.isdisjoint(group.tolist()):
                changed = self._apply(group)
                vain = 0 if changed else vain + 1
                touched |= changed
            if vain == _PATIENCE:
                break
        return touched

    def _apply(self, group: NDArray[np.int64]) -> set[int]:
        """Deal the columns of these stripes anew if that is a gain in exact sums too; the stripes that changed."""
        partition = in_place(self.window.partition(group))
        dealt = self.features.stripes[group].reshape(-1)[partition]
        if self.features.columns.kept(dealt).sum() - self.features.kept[group].sum() <= self.least:
            self.window.forget(group)
            return set()
        changed = (partition != np.arange(partition.size).reshape(partition.shape)).any(axis=1)
        self.features.put(group, dealt)
        return set(group[changed].tolist())

    def _refresh(self, touched: set[int]) -> None:
        stripes = np.array(sorted(touched))
        self.features.update(stripes)
        self.window.update(stripes)

    def escape(self, attempts: int, work: int, random: np.random.Generator) -> int:
        """Leave a local optimum: make the order worse, converge again, and go back if that led to nothing better.

        One column of each of four stripes moves on to the next. No single window undoes that, as one would undo the
        exchange of two columns; it finds far more than such exchanges do.

        Args:
            attempts: how often.
            work: groups times rows to evaluate; no attempt begins once that is reached.
            random: picks the stripes and the columns.

        Returns:
            How many of them led to something better.
        """
        better, end = 0, self.window.work + work
        for _ in range(attempts):
            if self.clock.over or self.window.work >= end:
                break
            before, kept, known = self.features.stripes.copy(), self.features.kept.sum(), self.window.save()
            touched = self._worsen(random)
            self._refresh(touched)
            touched |= self.converge()
            if self.features.kept.sum() - kept > self.least:
                better += 1
            else:
                self._return(before, np.array(sorted(touched)))
                self.window.restore(known)
        return better

    def _worsen(self, random: np.random.Generator) -> set[int]:
        stripes = random.choice(len(self.features.kept), min(_CYCLE, len(self.features.kept)), replace=False)
        columns = self.features.stripes[stripes]
        leaving = np.arange(len(stripes)), random.integers(STRIPE, size=len(stripes))
        columns[leaving] = np.roll(columns[leaving], 1)
        self.features.put(stripes, columns)
        return set(stripes.tolist())

    def _return(self, before: NDArray[np.int64], stripes: NDArray[np.int64]) -> None:
        self.features.put(stripes, before[stripes])
        self.features.update(stripes)


__all__ = ["Greedy", "Window"]
