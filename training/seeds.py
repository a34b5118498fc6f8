"""Random numbers that depend on the recipe's seed, the stage and the epoch, and on nothing that ran before."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_all(seed: int, stage: str, epoch: int, loader: Any = None) -> None:
    """Seed PyTorch, NumPy and Python, and the loader's own generator where it has one.

    An epoch that starts so is the same whether the epochs before it ran in this process or in one that was killed.

    Args:
        seed: the recipe's.
        stage: name of the stage.
        epoch: from 1; 0 stands for what comes before the first.
        loader: whose `generator`, `sampler` or `batch_sampler` is seeded too. Defaults to none.
    """
    number = int.from_bytes(hashlib.sha256(f"{seed}/{stage}/{epoch}".encode()).digest()[:7], "big")
    _seed(number)
    for part in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
        if isinstance(getattr(part, "generator", None), torch.Generator):
            part.generator.manual_seed(number)  # type: ignore[union-attr]
        if callable(getattr(part, "set_epoch", None)):
            part.set_epoch(epoch)  # type: ignore[union-attr]


def _seed(number: int) -> None:
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


@contextmanager
def steady(number: int = 0) -> Iterator[None]:
    """Run a block with fixed random states, and put back those that were there."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    _seed(number)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


__all__ = ["seed_all", "steady"]
