"""Which channels of a network can be exchanged with which: atoms, joined and told apart.

An atom is one channel as one layer sees it. Atoms that must move together are joined; what tells two apart (another
head, another group of a convolution) leaves a different mark on them. Channels that are alike in all marks can be
exchanged, unless they are fixed.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Array = np.ndarray[Any, Any]
NONE, ANY = 0, -1


class Atoms:
    """Numbers from 1 for channels; 0 for what depends on its place only, -1 for what is the same for all channels.

    Attributes:
        fixed: atoms that can't move, int64, each with the reason.
    """

    def __init__(self) -> None:
        self.fixed: list[tuple[Array, str]] = []
        self._bases: dict[Hashable, int] = {}
        self._count = 1
        self._edges: list[Array] = [np.zeros((2, 0), np.int64)]
        self._marks = np.zeros(1, np.uint64)

    def named(self, key: Hashable, count: int) -> int:
        """The first of `count` atoms in a row that belong to `key`; the same ones for the same key."""
        if key not in self._bases:
            self._bases[key] = self._count
            self._count += count
        return self._bases[key]

    def join(self, first: torch.Tensor, second: torch.Tensor, why: str) -> None:
        """What stands at the same place in both moves together; int64 tensors that broadcast.

        A channel that would move with what depends on its place is fixed, for the reason given.
        """
        pair = torch.stack([first + second * 0, second + first * 0]).reshape(2, -1)
        pair = pair[:, (pair != ANY).all(0) & (pair[0] != pair[1])]
        if pair.numel():
            codes = torch.unique(pair[0] * self._count + pair[1])
            pair = torch.stack((codes // self._count, codes % self._count))
            placed = (pair == NONE).any(0)
            self._edges.append(pair[:, ~placed].numpy())
            self.fix(pair[:, placed], why)

    def fix(self, labels: torch.Tensor, why: str) -> None:
        """These channels can't move."""
        atoms = np.unique(labels[labels > 0].numpy())
        if len(atoms):
            self.fixed.append((atoms, why))

    def mark(self, labels: torch.Tensor, keys: torch.Tensor, event: int) -> None:
        """Tell apart atoms that meet different `keys` in one event; int64 tensors that broadcast."""
        self._reserve()
        start = np.array(event + 1, np.int64).astype(np.uint64)
        if keys.numel() == 1:  # often, and much faster
            times = np.bincount(labels[labels > 0].numpy(), minlength=len(self._marks)).astype(np.uint64)
            self._marks += times * _mixed(_mixed(start) + keys.flatten().numpy().astype(np.uint64))
            return
        labels, keys = labels + keys * 0, keys + labels * 0
        moving = labels > 0
        np.add.at(self._marks, labels[moving].numpy(), _mixed(_mixed(start) + keys[moving].numpy().astype(np.uint64)))

    def _reserve(self) -> None:
        missing = self._count - len(self._marks)
        if missing > 0:
            self._marks = np.concatenate([self._marks, np.zeros(max(missing, len(self._marks)), np.uint64)])

    def components(self) -> tuple[Array, Array]:
        """The component of each atom, int64 (atoms,), and each component's marks, uint64."""
        edges = np.concatenate(self._edges, axis=1)
        graph = coo_array((np.ones(edges.shape[1], np.int8), (edges[0], edges[1])), shape=(self._count, self._count))
        _, component = connected_components(graph, directed=False)
        self._reserve()
        marks = np.zeros(component.max() + 1, np.uint64)
        np.add.at(marks, component, self._marks[: self._count])
        return component.astype(np.int64), marks


def _mixed(value: Any) -> Any:
    """Steele, Lea and Flood's splitmix64: numbers that are close become numbers that are not."""
    with np.errstate(over="ignore"):  # numbers wrap around
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


__all__ = ["ANY", "NONE", "Atoms"]
