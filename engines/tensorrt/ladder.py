"""How far an engine climbed towards "sparse is faster", and what may be said of it; each rung needs evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ...common.schema import Document
from ..records import LayerEvidence, Ratio, SparsityLine

RUNGS = (
    "nothing sparse", "2:4 weights", "eligible layers", "sparse tactics chosen", "sparse kernel for this layer",
    "sparse is faster",
)


class Ladder(Document):
    """The highest rung that the evidence reaches.

    Attributes:
        rung: 0 (nothing) to 5 (sparse is faster).
        says: what may be said, one sentence for each thing known, from the lowest up.
        missing: what keeps it from the next rung; None on the highest.
    """

    rung: Annotated[int, Field(ge=0, le=5)]
    says: list[str]
    missing: str | None


def rung(layers: Sequence[LayerEvidence], log: Sequence[SparsityLine], sparse_gain: Ratio | None = None) -> Ladder:
    """Climb the ladder.

    Args:
        layers: the evidence of each weighted layer.
        log: what the builder said of sparsity.
        sparse_gain: speed of the same network built with sparse weights over that built without, from interleaved
            runs of several builds of each; None where it was not measured. It makes the highest rung only where a
            lower one shows that something sparse runs: a gain alone may come from anything.
    """
    steps = [_weights(layers), _eligible(log), _chosen(log), _ran(layers)]
    reached = max((height for height, said in enumerate(steps, 1) if said), default=0)
    says = [said for said in steps if said]
    if sparse_gain is not None:
        text = f"the engine is {sparse_gain.speedup:.2f} times as fast as without sparse weights"
        interval = f"95 % interval {sparse_gain.low:.2f} to {sparse_gain.high:.2f}: {sparse_gain.verdict}"
        says.append(f"{text} ({interval})")
        reached = 5 if reached >= 3 and sparse_gain.verdict == "faster" else reached
    return Ladder(rung=reached, says=says, missing=_missing(reached, log, sparse_gain))


def pairs(log: Sequence[SparsityLine]) -> list[str]:
    """Each of the log's pairs in words, in its order; a wording that isn't known is shown as it is."""
    return [_pair(line) for line in log]


def _pair(line: SparsityLine) -> str:
    if line.text is not None:
        return f"unknown wording: {line.text}"
    eligible, chosen = ("?" if count is None else str(count) for count in (line.eligible, line.chosen))
    return f"{eligible} eligible, {chosen} chosen"


def _weights(layers: Sequence[LayerEvidence]) -> str | None:
    count = sum(layer.two_four for layer in layers)
    return f"the weights of {count} of {len(layers)} layers are 2:4" if count else None


def _eligible(log: Sequence[SparsityLine]) -> str | None:
    counts = [line.eligible for line in log if line.eligible is not None]
    return f"the builder found {_then(counts)} layers eligible" if any(counts) else None


def _chosen(log: Sequence[SparsityLine]) -> str | None:
    counts = [line.chosen for line in log if line.chosen is not None]
    return f"the builder chose sparse tactics for {_then(counts)} layers" if any(counts) else None


def _ran(layers: Sequence[LayerEvidence]) -> str | None:
    count = sum(layer.ran_sparse == "yes" for layer in layers)
    return f"a sparse kernel computes {count} of {len(layers)} layers, by its name" if count else None


def _then(counts: Sequence[int]) -> str:
    return ", then ".join(map(str, counts))


def _missing(reached: int, log: Sequence[SparsityLine], gain: Ratio | None) -> str | None:
    unclear = not log or any(line.text is not None for line in log)
    wants = (
        "no weight is 2:4",
        "the build log says nothing of sparsity in words that are known" if unclear else "the builder found none "
        "eligible",
        "the build log does not say what was chosen" if unclear else "the builder chose dense tactics throughout",
        "no kernel's name shows that it is sparse",
        "it was not measured against a build without sparse weights" if gain is None else "it was not faster beyond "
        "doubt than without sparse weights",
        None,
    )
    return wants[reached]


__all__ = ["RUNGS", "Ladder", "pairs", "rung"]
