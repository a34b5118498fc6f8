"""Groups of channels that can be exchanged with each other, and the sparse layers that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from .atoms import Array
from .tracer import Tracer, Usage

STRIPE = 4
FEWEST = 2 * STRIPE


@dataclass(frozen=True)
class Reader:
    """A sparse layer that reads a group's channels.

    Attributes:
        layer: its path.
        usage: its matrix.
        columns: the columns that read each channel, int64 (times, channels).
    """

    layer: str
    usage: Usage
    columns: Array


@dataclass(frozen=True)
class Group:
    """Channels in the order in which their readers have them, as components.

    Attributes:
        channels: components, int64 (channels,).
        readers: every sparse layer that reads them in whole stripes of four.
    """

    channels: Array
    readers: list[Reader]


class Channels:
    """What a trace found, settled."""

    def __init__(self, tracer: Tracer) -> None:
        self.usages, self.vectors = tracer.usages, tracer.vectors
        _refuse_conflicts(tracer)
        _mark_places(tracer)
        self._component, self._marks = tracer.atoms.components()
        self._bases = {name: tracer.atoms.named((name, "element"), 0) for name in tracer.vectors}
        self.fixed: dict[int, str] = {}
        for atoms, why in tracer.atoms.fixed:
            self.fixed.update(dict.fromkeys(self._component[atoms].tolist(), why))

    def of(self, labels: torch.Tensor) -> Array:
        """Components of labels, int64 of the same shape; -1 where there is no channel."""
        atoms = labels.numpy()
        return np.where(atoms > 0, self._component[np.maximum(atoms, 0)], -1)

    def elements(self, name: str) -> Array:
        """Components of a vector's elements, int64 (elements,)."""
        return self.of(self._bases[name] + torch.arange(self.vectors[name].numel()))

    def __len__(self) -> int:
        """How many components there are."""
        return len(self._marks)

    def groups(self, sparse: Mapping[str, str]) -> list[Group]:
        """All groups that a sparse layer reads.

        Args:
            sparse: paths of the layers that will be 2:4, by the name of their weight.
        """
        columns = [(sparse[usage.name], usage, self.of(usage.columns)) for usage in self.usages if usage.name in sparse]
        alike: dict[int, list[int]] = {}
        for _, _, components in columns:
            for component in components.tolist():
                if component >= 0 and component not in self.fixed:
                    found = alike.setdefault(int(self._marks[component]), [])
                    if component not in found[-1:]:
                        found.append(component)
        unique = [np.array(list(dict.fromkeys(members)), np.int64) for members in alike.values()]
        return [group for channels in unique if (group := _group(channels, columns))]

    def reason(self, usage: Usage) -> str:
        """Why the columns of a matrix are not permuted."""
        components = self.of(usage.columns)
        why = {self.fixed[component] for component in components.tolist() if component in self.fixed}
        return "; ".join(sorted(why)) or "no eight of its channels in whole stripes can be exchanged"


def _group(channels: Array, columns: list[tuple[str, Usage, Array]]) -> Group | None:
    if len(channels) < FEWEST or len(channels) % STRIPE:
        return None
    readers = []
    for layer, usage, components in columns:
        places = placed(components, channels)
        if places is not None and _in_stripes(places):
            readers.append(Reader(layer, usage, places))
    return Group(channels, readers) if readers else None


def placed(components: Array, channels: Array) -> Array | None:
    """Where each channel stands among components, int64 (times, channels), or None where it doesn't."""
    slot = {component: number for number, component in enumerate(channels.tolist())}
    slots = np.array([slot.get(component, -1) for component in components.tolist()])
    places = np.flatnonzero(slots >= 0)
    if not len(places) or len(places) % len(channels):
        return None
    order = places[np.argsort(slots[places], kind="stable")]
    standing: Array = order.reshape(len(channels), -1).T
    return standing


def _in_stripes(places: Array) -> bool:
    """The channels stand in whole aligned groups of four columns, in their order."""
    stripes = places.reshape(len(places), -1, STRIPE) // STRIPE
    return bool((stripes == stripes[..., :1]).all())


def _refuse_conflicts(tracer: Tracer) -> None:
    """A parameter whose elements are read in two different ways stays as it is."""
    for name in {usage.name for usage in tracer.usages}:
        mine = [usage for usage in tracer.usages if usage.name == name]
        places = torch.cat([usage.index.flatten() for usage in mine])
        if name in tracer.vectors or len(np.unique(places.numpy())) < len(places):
            why = f"{name} is read in two different ways"
            for usage in mine:
                tracer.atoms.fix(usage.rows, why)
                tracer.atoms.fix(usage.columns, why)
            if name in tracer.vectors:
                tracer.atoms.fix(_elements(tracer, name), why)


def _mark_places(tracer: Tracer) -> None:
    """Channels that stand in different parameters, or more often, are not alike."""
    event, zero = tracer.event, torch.tensor(0)
    for usage in tracer.usages:
        tracer.atoms.mark(usage.rows, zero, event := event + 1)
        tracer.atoms.mark(usage.columns, zero, event := event + 1)
    for name in tracer.vectors:
        tracer.atoms.mark(_elements(tracer, name), zero, event := event + 1)


def _elements(tracer: Tracer, name: str) -> torch.Tensor:
    count = tracer.vectors[name].numel()
    return tracer.atoms.named((name, "element"), count) + torch.arange(count)


__all__ = ["Channels", "Group", "Reader", "placed"]
