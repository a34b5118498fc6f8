"""The residual stages of a network, found by what it computes: blocks that add a branch to what they read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...common.errors import UserError
from .watch import Record, Value, Visit, watch

_WHERE = "training: dense: method group_knowledge"


@dataclass(frozen=True)
class Block:
    """A residual block.

    Attributes:
        path: of the module.
        module: takes one tensor and returns one.
        branch: the module inside whose output is added to the shortcut, or None where an operation makes it.
    """

    path: str
    module: nn.Module
    branch: nn.Module | None


Stage = tuple[Block, ...]


@dataclass(frozen=True)
class _Found:
    """A module that looks like a block: its call, the value of its branch, and whether it could be left out."""

    path: str
    visit: Visit
    branch: int
    same: bool


def find_stages(model: nn.Module, inputs: torch.Tensor, where: str) -> list[Stage]:
    """Stages in the order of the network, each with its blocks; the first block of a stage is never to be left out.

    A block is a module that is called once, takes one tensor and returns a sum, or an activation of one: of a branch,
    and of its input or a projection of it (no more than one layer with weights). Of modules in one another the
    innermost is the block. Blocks that hand their output to one another form a stage, and one that changes the shape
    or projects begins a new one.

    Args:
        model: without quantizers; runs once, in eval mode, and is left as it was.
        inputs: (N, ...), two samples are enough, on the network's device.
        where: loader and batch, for errors.

    Raises:
        UserError: the network can't run on the inputs.
    """
    record = watch(model, inputs, where)
    found = [block for path in record.visits if (block := _block(path, record))]
    paths = {block.path for block in found}
    blocks = [one for one in found if not any(path.startswith(f"{one.path}.") or not one.path for path in paths
                                              if path != one.path)]
    stages: list[list[_Found]] = []
    for block in blocks:
        if stages and block.same and stages[-1][-1].visit.made == block.visit.read:
            stages[-1].append(block)
        else:
            stages.append([block])
    return [tuple(_made(model, block, record) for block in stage) for stage in stages]


def usable_stages(model: nn.Module, inputs: torch.Tensor, where: str) -> list[Stage]:
    """`find_stages`, where there is a block that can be left out.

    Raises:
        UserError: there is none; the stages that there are, are named.
    """
    stages = find_stages(model, inputs, where)
    if not stages:
        raise UserError(
            "This network has no residual stage: no module adds a branch to its own input.", where=_WHERE,
            fix="Group knowledge is for residual networks such as ResNet or ConvNeXt; take method: supervised.",
        )
    if all(len(stage) == 1 for stage in stages):
        counts = ", ".join(f"{stage[0].path or 'the network'} ({len(stage)} block)" for stage in stages)
        raise UserError(
            f"No stage of this network has a block that could be left out, for the first one always stays: {counts}.",
            where=_WHERE, fix="Give at least one stage two blocks; three or more in each are better.",
        )
    return stages


def _block(path: str, record: Record) -> _Found | None:
    visit = record.visits[path][0]
    if len(record.visits[path]) > 1 or visit is None:
        return None
    made = _before_activation(visit, record.values)
    if made is None:
        return None
    ways = [(_weights_between(visit.read, parent, record.values), parent) for parent in made.parents]
    short = min((weights for weights, _ in ways if weights is not None), default=2)
    if short > 1 or all(weights == 0 for weights, _ in ways):
        return None
    branch = next(parent for weights, parent in reversed(ways) if weights != short or ways[0][0] == ways[1][0])
    same = not short and record.values[visit.read].shape == record.values[visit.made].shape
    return _Found(path, visit, branch, same)


def _before_activation(visit: Visit, values: list[Value]) -> Value | None:
    """The sum that a module ends with, made within it."""
    number = visit.made
    while number >= visit.since:
        value = values[number]
        if value.sum:
            return value
        if len(value.parents) != 1 or value.weighted:
            return None
        number = value.parents[0]
    return None


def _weights_between(read: int, number: int, values: list[Value]) -> int | None:
    """How many operations with weights lead from one value straight to another; None if more than a line does."""
    weights = 0
    while number != read:
        value = values[number]
        if len(value.parents) != 1:
            return None
        weights += value.weighted
        number = value.parents[0]
    return weights


def _made(model: nn.Module, found: _Found, record: Record) -> Block:
    inside = f"{found.path}." if found.path else ""
    makers = (path for path, visits in record.visits.items() if path != found.path and path.startswith(inside)
              and len(visits) == 1 and visits[0] is not None and visits[0].made == found.branch)
    maker = next(makers, None)
    return Block(found.path, model.get_submodule(found.path), None if maker is None else model.get_submodule(maker))


__all__ = ["Block", "Stage", "find_stages", "usable_stages"]
