"""Tables and claims from `results/sparsity_methods.json`: what the figures say is computed, not written by hand.

Every comparison is paired: the difference of two arms on the same seed, from the same dense network. Its spread over
the seeds decides; where that holds zero there is no difference.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Cases = dict[tuple[str, str], list[Row]]
PEER, DENSE, AS_LONG, RETRAINED = "ModelOpt, sparse then QAT", "dense", "dense for as long", "retrained"
FEWEST = 2
HOLDS, FAILS, EQUAL, FEW = "holds", "doesn't hold", "no difference", "too few seeds"


@dataclass(frozen=True)
class Claim:
    """That one arm is as good as another, or better.

    Attributes:
        text: for people.
        better: the arm that is claimed to be as good, at least.
        than: the other.
        every: it must be better on every seed; else no difference is told apart, and only what is worse on every seed
            fails.
        than_key: of the other's row.
    """

    text: str
    better: str
    than: str
    every: bool = False
    than_key: str = "accuracy"


def _parts() -> list[Claim]:
    """Each term of GPUSQ-ViT's loss, with and without."""
    names = {"soft": "soft term", "feature": "feature term", "hard": "hard term", "gate": "gate"}
    return [Claim(f"The {name} does no harm, {kind}", f"GPUSQ{tail}", f"GPUSQ without {part}{tail}")
            for part, name in names.items() for kind, tail in (("sparse", ""), ("INT8", ", int8"))]


CLAIMS = [
    Claim("Retrained 2:4 is as good as dense", RETRAINED, DENSE),
    Claim("Retrained 2:4 is as good as dense trained for as long", RETRAINED, AS_LONG),
    Claim("Permuted channels are better before retraining, on every seed", "one-shot, permuted", "one-shot", True),
    Claim("Permuted channels are as good after retraining", "retrained, permuted", RETRAINED),
    Claim("INT8 loses nothing, retrained", "retrained, int8", RETRAINED),
    Claim("GPUSQ-ViT is as good as dense, sparse", "GPUSQ", DENSE),
    Claim("GPUSQ-ViT is as good as dense, INT8", "GPUSQ, int8", DENSE),
    Claim("GPUSQ-ViT is as good as dense trained for as long, INT8", "GPUSQ, int8", AS_LONG),
    Claim("GPUSQ-ViT is as good as retraining without a teacher, sparse", "GPUSQ", RETRAINED),
    Claim("GPUSQ-ViT is as good as retraining without a teacher, INT8", "GPUSQ, int8", "retrained, int8"),
    *_parts(),
    Claim("The factors do no harm, INT8", "GPUSQ, int8", "GPUSQ, int8, no factors"),
    Claim("The factors do no harm, INT4", "GPUSQ, pairs, int4", "GPUSQ, pairs, int4, no factors"),
    Claim("Inverse factors are as good as linear ones, INT8", "GPUSQ, int8", "GPUSQ, int8, linear factors"),
    Claim("With labels it is as good as without, sparse", "GPUSQ", "GPUSQ without labels"),
    Claim("With labels it is as good as without, INT8", "GPUSQ, int8", "GPUSQ without labels, int8"),
    Claim("INT8 loses nothing, GPUSQ-ViT", "GPUSQ, int8", "GPUSQ"),
    Claim("INT4 in pairs loses nothing against the sparse network", "GPUSQ, pairs, int4", "GPUSQ, pairs"),
    Claim("INT4 in pairs loses nothing against dense", "GPUSQ, pairs, int4", DENSE),
    Claim("As good as ModelOpt's flow, sparse", RETRAINED, PEER, than_key="sparse"),
    Claim("As good as ModelOpt's flow, INT8", "retrained, int8", PEER),
    Claim("GPUSQ-ViT is as good as ModelOpt's flow, INT8", "GPUSQ, int8", PEER),
]


def cases(rows: list[Row]) -> Cases:
    """Rows by network and data set, in the order in which they come."""
    found: Cases = {}
    for row in rows:
        found.setdefault((row["network"], row["data"]), []).append(row)
    return dict(sorted(found.items()))


def values(rows: list[Row], arm: str, key: str = "accuracy") -> dict[int, float]:
    """An arm's figures by seed."""
    return {row["seed"]: row[key] for row in rows if row["arm"] == arm and row.get(key) is not None}


def differences(
    rows: list[Row], better: str, than: str, than_key: str = "accuracy", key: str = "accuracy"
) -> list[float]:
    """Of every seed that has both arms."""
    first, second = values(rows, better, key), values(rows, than, than_key)
    return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def verdict(found: list[float], every: bool = False) -> str:
    """What differences say of a claim, in one or two words.

    Args:
        found: of the arm that is claimed to be as good, minus the other, by seed.
        every: it must be better on all of them.
    """
    if len(found) < FEWEST:
        return FEW
    if min(found) > 0:
        return HOLDS
    if every or max(found) < 0:
        return FAILS
    return EQUAL


def points(found: list[float]) -> str:
    """The mean difference with the least and the most, in per cent points."""
    low, high = (_signed(edge(found)) for edge in (min, max))
    return f"{_signed(statistics.mean(found))} ({low} to {high})"


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-0.00", "+0.00").replace("+0.00", "0.00")


def against(rows: list[Row], arm: str, base: str) -> str:
    """How an arm compares with another, for a table; empty for itself and where no seed has both."""
    found = differences(rows, arm, base)
    if arm == base or not found:
        return ""
    return points(found) + (f", {EQUAL}" if verdict(found) == EQUAL else "")


def judged(rows: list[Row], claim: Claim) -> str:
    """Verdict and figures of a claim, or empty where an arm is missing."""
    found = differences(rows, claim.better, claim.than, claim.than_key)
    return f"{verdict(found, claim.every)}: {points(found)}" if found else ""
