"""Move channels: the values of every parameter that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from .atoms import Array
from .groups import Channels, Group

Orders = Sequence[tuple[Group, Array]]


def apply(network: nn.Module, channels: Channels, orders: Orders) -> None:
    """Permute groups of channels, in place, through the whole network.

    Args:
        network: the one whose trace `channels` holds; its function stays.
        channels: where each channel stands.
        orders: groups, each with the channel that comes to each place, int64 (channels,).
    """
    source = np.arange(len(channels))
    for group, order in orders:
        source[group.channels] = group.channels[order]
    values = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        _matrices(values, channels, source)
        for name in channels.vectors:
            places = moved(channels.elements(name), source)
            values[name].copy_(values[name].flatten()[torch.from_numpy(places)].view(values[name].shape))


def _matrices(values: Mapping[str, torch.Tensor], channels: Channels, source: Array) -> None:
    for usage in channels.usages:
        rows, columns = (moved(channels.of(labels), source) for labels in (usage.rows, usage.columns))
        flat = values[usage.name].flatten()
        block = flat[usage.index][torch.from_numpy(rows)][:, torch.from_numpy(columns)]
        flat = flat.index_put((usage.index,), block)
        values[usage.name].copy_(flat.view(values[usage.name].shape))


def moved(components: Array, source: Array) -> Array:
    """Where each place takes its value from, int64: component c gets what source[c] had, in its order."""
    places = np.flatnonzero(components >= 0)
    order = places[np.argsort(components[places], kind="stable")]
    ordered = components[order]
    number = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    result = np.arange(len(components))
    result[order] = order[np.searchsorted(ordered, source[ordered]) + number]
    return result


def undo(orders: Orders) -> list[tuple[Group, Array]]:
    """The orders that put everything back."""
    return [(group, np.argsort(order)) for group, order in orders]


__all__ = ["Orders", "apply", "moved", "undo"]
