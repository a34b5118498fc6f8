"""An engine's answers to any number of samples, in batches of a size that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..common.errors import TwofourError, UserError
from .backend import Arrays, Runner

BATCH = 64  # samples per inference where the engine has no range: bounds the memory, whatever the number of samples
Array = np.ndarray[Any, Any]
Steps = Callable[[int], None]


@dataclass(frozen=True)
class Sizes:
    """The batches that an engine takes.

    Attributes:
        low: smallest.
        usual: what it was tuned for.
        high: largest.
        ranged: it was built for a range of them.
    """

    low: int
    usual: int
    high: int
    ranged: bool

    @property
    def shown(self) -> list[int]:
        """Those at which an engine that was built for a range is judged: its smallest, usual and largest."""
        return sorted({self.low, self.usual, self.high}) if self.ranged else []


def sizes_of(runner: Runner) -> Sizes:
    """Read from a runner's `batches` or `max_batch`, where it has them; else 1 to `BATCH`."""
    if (batches := getattr(runner, "batches", None)) is not None:
        return Sizes(batches[0], batches[1], batches[2], ranged=True)
    if (fixed := getattr(runner, "max_batch", None)) is not None:
        return Sizes(fixed, fixed, fixed, ranged=False)
    return Sizes(1, BATCH, BATCH, ranged=False)


def count_of(inputs: Arrays) -> int:
    """How many samples there are.

    Raises:
        UserError: none, or not as many in each input.
    """
    lengths = {len(value) for value in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise UserError(f"The bundle's inputs hold {sorted(lengths)} samples; each must hold the same number, not 0.",
                        fix="Export the bundle again.")
    return lengths.pop()


def in_batches(
    runner: Runner, inputs: Arrays, size: int, low: int, on_step: Steps
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Sample by sample once: (samples, outputs) of each batch; the last may be smaller.

    Args:
        runner: the engine.
        inputs: samples by input name.
        size: samples per inference.
        low: the smallest batch that the engine takes: a smaller last one is filled up, and the answers to what it was
            filled with are left out.
        on_step: told the samples of each batch.

    Raises:
        UserError: the engine refuses the samples.
    """
    count = count_of(inputs)
    for start in range(0, count, size):
        samples = min(size, count - start)
        rows = np.arange(start, start + max(samples, low)) % count
        outputs = _infer(runner, {name: value[rows] for name, value in inputs.items()}, start)
        yield samples, {name: value[:samples] for name, value in outputs.items()}
        on_step(samples)


def answers(runner: Runner, inputs: Arrays, size: int, low: int, on_step: Steps) -> dict[str, Array]:
    """All outputs, sample by sample; see `in_batches`."""
    parts = [outputs for _, outputs in in_batches(runner, inputs, size, low, on_step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def full_rows(count: int, size: int) -> Array:
    """Numbers of samples that fill whole batches: all of them, and from the start again up to the end of the last.

    Every place in a batch is taken, since a fault may show in its last ones only.
    """
    found: Array = np.arange(-(-count // size) * size) % count
    return found


def _infer(runner: Runner, inputs: Arrays, start: int) -> dict[str, Array]:
    try:
        return runner.infer(inputs)
    except Exception as error:  # each runtime has errors of its own
        if isinstance(error, TwofourError) and not isinstance(error, UserError):
            raise
        raise UserError(f"The engine refuses the samples from number {start} on: {error}",
                        fix="Validate an engine with a dynamic batch, built from this very bundle.") from error


__all__ = ["BATCH", "Sizes", "answers", "count_of", "full_rows", "in_batches", "sizes_of"]
