"""Tables and claims from `results/training_methods.json`: what the figures say is computed, not written by hand.

Comparisons are paired by seed, as those of `sparsity_claims`.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from sparsity_claims import EQUAL, differences, points, values, verdict

Row = dict[str, Any]
GKT = "GKT-style (reconstructed)"
LONG, FULL = "plain for as long", "full (gamma 1)"
DISTANCE = "feature_distance"


@dataclass(frozen=True)
class Claim:
    """That one arm is better than another, or as good.

    Attributes:
        text: for people.
        better: the arm of which it is claimed.
        than: the other.
        key: the figure that is compared.
    """

    text: str
    better: str
    than: str
    key: str = "accuracy"


@dataclass(frozen=True)
class Part:
    """A method of the benchmark.

    Attributes:
        title: of its section.
        about: what stands above its tables.
        columns: head of a column to the row's key; a share is shown in per cent.
        base: the arm that the others are compared with, on the first column.
        claims: in order.
    """

    title: str
    about: str
    columns: dict[str, str]
    base: str
    claims: list[Claim]


_SPARSE = "sparse INT8: "
KNOWLEDGE = Part(
    "Group knowledge, GKT-style (reconstructed)",
    "`cost` counts residual blocks run for each sample, plain training of as many epochs being 1. Subnets: mean "
    "accuracy of three fixed ones with 3/4 and three with 1/2 of the blocks, each with batch norm statistics of its "
    "own. `gap`: KL divergence of the smallest group from its teacher. Rows of sparse INT8 are pruned to 2:4, trained "
    "again for as many epochs, and calibrated; the networks that teach are dense.",
    {"accuracy": "accuracy", "subnets 3/4": "subnets 3/4", "subnets 1/2": "subnets 1/2", "cost": "cost", "gap": "gap"},
    "plain",
    [
        Claim("Better than plain training", GKT, "plain"),
        Claim("Better than plain training for as long", GKT, LONG),
        Claim("Better than stochastic depth", GKT, "stochastic depth"),
        Claim("Better than stimulative training", GKT, "stimulative"),
        Claim("Better than stimulative training of as many subnets", GKT, "stimulative, as many subnets"),
        Claim("Subnets of half the blocks better than plain training's", GKT, "plain", "subnets 1/2"),
        Claim("Subnets of half the blocks better than stimulative training's, of as many subnets", GKT,
              "stimulative, as many subnets", "subnets 1/2"),
        Claim("Nesting helps", GKT, f"{GKT} without nesting"),
        Claim("The neighbour teaches better than the main network", GKT, f"{GKT}, main teacher"),
        Claim("The moving average helps", GKT, f"{GKT} without EMA"),
        Claim("Favouring larger subnets helps", GKT, f"{GKT}, uniform sampler"),
        Claim("A better start of the sparse INT8 network than plain training's", f"{_SPARSE}{GKT} start",
              f"{_SPARSE}plain start"),
        Claim("A better start of it than plain training's for as long", f"{_SPARSE}{GKT} start",
              f"{_SPARSE}plain for as long start"),
        Claim("A better teacher of it than plain training's network", f"{_SPARSE}plain start, {GKT} teacher",
              f"{_SPARSE}plain start, plain teacher"),
    ],
)
AMENDMENT = Part(
    "Adversarial amendment, AdvAmd-style (reconstructed)",
    "Attacks of 8/255 of the inputs' range: FGSM, and PGD of five steps, the same for all arms. `cost` counts "
    "arithmetic, plain training being 1. Of masks the accuracy is that of pixels.",
    {"accuracy": "accuracy", "under FGSM": "attacked", "under PGD": "attacked_pgd", "cost": "cost"},
    "plain",
    [
        Claim("One batch norm for both costs benign accuracy: plain is better", "plain", "one-BN adversarial"),
        Claim("AdvProp is better than one batch norm", "AdvProp", "one-BN adversarial"),
        Claim("AdvProp is better than plain", "AdvProp", "plain"),
        Claim("Mediate samples are better than AdvProp's", "AdvProp + mediate (gamma 0)", "AdvProp"),
        Claim("Weights by vulnerability help (gamma 1 against 0)", FULL, "AdvProp + mediate (gamma 0)"),
        Claim("Gamma 1 is better than gamma -1", FULL, "full, gamma -1"),
        Claim("Mediate samples help in the full method", FULL, "full without mediate"),
        Claim("The auxiliary batch norm helps in it", FULL, "full without auxiliary"),
        Claim("All of it is better than plain", FULL, "plain"),
        Claim("All of it is better than plain for as long", FULL, LONG),
        Claim("All of it is better than plain under FGSM", FULL, "plain", "attacked"),
    ],
)
_RATES = ("50 %", "2:4", "75 %", "90 %", "filters 25 %")
GAN = Part(
    "GAN compression",
    "Feature distance: between made and real pictures in the hidden layer of one fixed small classifier of the digits, "
    "no FID; less is better. Edges also have the structural similarity with the digit that belongs to the edges. Every "
    "arm starts from one dense generator and trains for as many steps; the small one, of about half the weights, "
    "trains from the start for all of them. Where a claim is that one is as good, no difference is enough.",
    {"feature distance": DISTANCE, "SSIM": "ssim"},
    "dense",
    [
        *(Claim(f"Ours is as good as dense, {rate}", f"ours, {rate}", "dense", DISTANCE) for rate in _RATES[:4]),
        *(Claim(f"Ours is better than one-shot pruning and fine-tuning, {rate}", f"ours, {rate}", f"one-shot, {rate}",
                DISTANCE) for rate in _RATES),
        *(Claim(f"Ours is better than pruning with plain distillation, {rate}", f"ours, {rate}", f"distilled, {rate}",
                DISTANCE) for rate in _RATES),
        Claim("Ours at 50 % is better than a small dense generator", "ours, 50 %", "small dense", DISTANCE),
        Claim("Single weights at 50 % are better than filters at 25 %", "ours, 50 %", "ours, filters 25 %", DISTANCE),
        Claim("Single weights at 50 % are as good as 2:4, ours", "ours, 50 %", "ours, 2:4", DISTANCE),
        Claim("Ratios of single samples are better than of means, 2:4", "ours per sample, 2:4", "ours, 2:4", DISTANCE),
        Claim("Ratios of single samples are better than of means, 90 %", "ours per sample, 90 %", "ours, 90 %",
              DISTANCE),
    ],
)
PARTS = {"group_knowledge": KNOWLEDGE, "adversarial_amendment": AMENDMENT, "gan": GAN}


def difference(rows: list[Row], claim: Claim) -> list[float]:
    """By seed, above zero where the claim is right."""
    found = differences(rows, claim.better, claim.than, claim.key, claim.key)
    return [-one for one in found] if claim.key == DISTANCE else found


def judged(rows: list[Row], claim: Claim) -> str:
    """Verdict and figures of a claim, or empty where an arm is missing."""
    found = difference(rows, claim)
    return f"{verdict(found)}: {told(found, claim.key)}" if found else ""


def told(found: list[float], key: str) -> str:
    """Mean difference with least and most: in points, or of distances as they are."""
    if key != DISTANCE:
        return points(found)
    return f"{statistics.mean(found):+.2f} ({min(found):+.2f} to {max(found):+.2f})"


def shown(found: list[float], key: str) -> str:
    """Mean with least and most: in per cent, or as they are."""
    if not found:
        return ""
    digits = {DISTANCE: 2, "ssim": 3, "cost": 1, "gap": 3}.get(key)
    if digits is None:
        found, digits = [100 * one for one in found], 2
    low, high = min(found), max(found)
    return f"{statistics.mean(found):.{digits}f}" + (f" ({low:.{digits}f} to {high:.{digits}f})" if low < high else "")


def arm_rows(rows: list[Row], part: Part) -> list[list[str]]:
    """One for each arm, in the order measured."""
    main = next(iter(part.columns.values()))
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        cells = [shown(list(values(rows, arm, key).values()), key) for key in part.columns.values()]
        found = difference(rows, Claim("", arm, part.base, main)) if arm != part.base else []
        said = f", {EQUAL}" if verdict(found) == EQUAL else ""
        lines.append([arm, *cells, told(found, main) + said if found else ""])
    return lines


__all__ = ["PARTS", "Claim", "Part", "arm_rows", "difference", "judged"]
