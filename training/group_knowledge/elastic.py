"""Subnets of a network: some of its blocks left out while a `with` block runs, and nothing changed after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from .stages import Block, Stage


def full(stages: Sequence[Stage]) -> tuple[int, ...]:
    """How many blocks each stage has."""
    return tuple(len(stage) for stage in stages)


@contextmanager
def shortened(stages: Sequence[Stage], keep: Sequence[int]) -> Iterator[None]:
    """The network keeps only the first blocks of each stage; the others give back what they get.

    Nothing is rescaled. Within it the network is used as ever, forward and, for what ran forward in it, backward.

    Args:
        stages: of the network.
        keep: how many blocks of each stage, at least 1.
    """
    assert len(keep) == len(stages)
    assert all(1 <= count <= len(stage) for count, stage in zip(keep, stages, strict=True))
    with skipped(block for stage, count in zip(stages, keep, strict=True) for block in stage[count:]):
        yield


@contextmanager
def skipped(blocks: Iterable[Block]) -> Iterator[None]:
    """These blocks give back what they get."""
    with ExitStack() as stack:
        for block in blocks:
            before = vars(block.module).get("forward")
            vars(block.module)["forward"] = _same
            stack.callback(_restore, block.module, before)
        yield


def _same(*args: Any, **settings: Any) -> Any:
    return next(value for value in (*args, *settings.values()) if isinstance(value, torch.Tensor))


def _restore(module: nn.Module, before: Any) -> None:
    del vars(module)["forward"]
    if before is not None:
        vars(module)["forward"] = before


@contextmanager
def scaled(factors: Iterable[tuple[nn.Module, float]]) -> Iterator[None]:
    """The outputs of these modules are multiplied by a factor each."""
    with ExitStack() as stack:
        for module, factor in factors:
            stack.callback(module.register_forward_hook(partial(_times, factor)).remove)
        yield


def _times(factor: float, _module: nn.Module, _args: Any, output: torch.Tensor) -> torch.Tensor:
    return output * factor


__all__ = ["full", "scaled", "shortened", "skipped"]
