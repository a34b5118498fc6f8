"""Permute channels before pruning, so that 2:4 masks keep more of the weights; the network's function stays.

Source: Pool and Yu, "Channel Permutations for N:M Sparsity", NeurIPS 2021. The search is theirs; following channels
through the network is this project's own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from ...common import console
from ...common.bundle import Layer
from ..channels.apply import Orders, apply, undo
from ..channels.atoms import Array
from ..channels.groups import Channels, Group
from ..channels.tracer import trace
from ..placement.trace import run
from .record import Permutation, PermutedGroup
from .search import Found, search

CHANGED = "the network's answers changed when its channels moved, so they were put back"


def permute(network: nn.Module, layers: Sequence[Layer], example: Any, seed: int = 0) -> Permutation:
    """Search an order of channels for every group that a sparse layer reads, and move them, in place.

    Args:
        network: dense, without quantizers.
        layers: those to be sparse are searched for.
        example: a small batch, as forward() takes it.
        seed: of the search. Defaults to 0.

    Returns:
        What was gained where, and which layers were left, with the reason. The answers of the network on `example`
        in float64 are as before; groups for which they would not be are put back.
    """
    sparse = {f"{layer.name}.weight": layer.name for layer in layers if layer.sparse}
    try:
        channels = Channels(trace(network, example))
    except Exception as error:  # whatever a network does that can't be followed
        trouble = f"the network can't be followed ({type(error).__name__}: {str(error).strip()[:200]})"
        console.warn(f"No channels are permuted: {trouble}.")
        return Permutation(groups=[], left=dict.fromkeys(sparse.values(), trouble))
    found = _searched(network, channels.groups(sparse), seed)
    orders = [(group, one.order) for group, one in found]
    kept = _applied(network, channels, orders, example)
    return _report(channels, sparse, found, kept)


def _searched(network: nn.Module, groups: list[Group], seed: int) -> list[tuple[Group, Found]]:
    with console.progress("search permutations", max(len(groups), 1)) as advance:
        found = []
        for group in groups:
            found.append((group, search(matrix(network, group), seed=seed)))
            advance(1)
    return found


def matrix(network: nn.Module, group: Group) -> Array:
    """All weights that the group's readers read its channels with, float32 (rows, channels)."""
    parts = []
    for reader in group.readers:
        flat = network.get_parameter(reader.usage.name).detach().float().flatten()
        block = flat[reader.usage.index][:, torch.from_numpy(reader.columns)]  # (rows, times, channels, values)
        parts.append(block.permute(0, 1, 3, 2).reshape(-1, len(group.channels)))
    return torch.cat(parts).numpy()


def _applied(network: nn.Module, channels: Channels, orders: Orders, example: Any) -> set[int]:
    """Move all groups, or, where the answers change, each that doesn't change them; the numbers of those moved."""
    before = _answers(network, example)
    apply(network, channels, orders)
    if _same(before, _answers(network, example)):
        return set(range(len(orders)))
    apply(network, channels, undo(orders))
    kept = set()
    for number, one in enumerate(orders):
        apply(network, channels, [one])
        if _same(before, _answers(network, example)):
            kept.add(number)
        else:
            apply(network, channels, undo([one]))
    return kept


def _answers(network: nn.Module, example: Any) -> list[torch.Tensor]:
    """In float64 where the network can be copied and computes in it, else as it is."""
    doubled = tree_map(lambda leaf: leaf.double() if _is_float(leaf) else leaf, example)
    training = network.training
    try:
        with torch.no_grad():
            try:
                answer = run(copy.deepcopy(network).eval().double(), doubled)
            except (RuntimeError, TypeError):
                answer = run(network.eval(), example)
    finally:
        network.train(training)
    return [leaf for leaf in tree_leaves(answer) if _is_float(leaf)]


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _same(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    return all(_close(one, other) for one, other in zip(before, after, strict=True))


def _close(before: torch.Tensor, after: torch.Tensor) -> bool:
    tolerance = 1e-9 if before.dtype == torch.float64 else 1e-4
    return bool(((before - after).abs().max() <= tolerance * before.abs().max().clamp(min=1)).item())


def _report(
    channels: Channels, sparse: dict[str, str], found: list[tuple[Group, Found]], kept: set[int]
) -> Permutation:
    left = {sparse[usage.name]: channels.reason(usage) for usage in channels.usages if usage.name in sparse}
    for name in sparse.values():
        left.setdefault(name, "it wasn't reached")
    groups = []
    for number, (group, one) in enumerate(found):
        names = [reader.layer for reader in group.readers]
        for name in names:
            left[name] = CHANGED
        if number in kept:
            groups.append(_line(group, names, one))
    for entry in groups:
        for name in entry.layers:
            left.pop(name, None)
    return Permutation(groups=groups, left=left)


def _line(group: Group, names: list[str], found: Found) -> PermutedGroup:
    shapes = [(reader.usage.index.shape, len(reader.columns)) for reader in group.readers]
    rows = sum(shape[0] * shape[2] * times for shape, times in shapes)
    return PermutedGroup(
        layers=names, channels=len(group.channels), rows=rows, default=found.default, kept=found.kept,
        bound=found.bound, efficacy=found.efficacy, seconds=found.seconds,
    )


__all__ = ["matrix", "permute"]
