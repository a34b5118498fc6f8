"""How many times faster one arm is than another when each was built several times.

Two builds of one network differ, since the builder picks tactics by timing them: by 2 % and more, which is more than
runs of one plan differ and no number of runs averages out. So the builds are the sample, not the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..intervals import Times, interval, verdict
from ..records import Ratio

RELOAD = 0.006  # one and the same plan, loaded and timed again, differs by up to this much
Rounds = Sequence[Times]
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)  # 97.5 % points, 1 to 10 degrees


def build_ratio(arm: str, baseline: str, batch: int, arms: Mapping[str, Sequence[Rounds]]) -> Ratio:
    """Compare two arms, each of which was built several times and timed in the same rounds.

    The speed-up is the ratio of the geometric means of the builds' medians. Its 95 % interval takes the widest of
    three, and widens it by `RELOAD`: Welch's over the two arms' builds, which asks nothing of how much either
    scatters; Student's with the scatter of all arms' builds together, for two arms whose few builds are alike by
    chance; and `intervals.interval` over the rounds, with the builds as they are.

    Args:
        arm: the faster one, by hope.
        baseline: what it is compared with.
        batch: samples per inference.
        arms: for every arm that was timed, each build's times, one array per round, in any unit.

    Returns:
        With the verdict `unknown` where one of the two was built only once, so that the noise of building it is in no
        figure; the interval is then that of these two builds alone.
    """
    medians = {name: _medians(builds) for name, builds in arms.items()}
    own, other = medians[arm], medians[baseline]
    middle = float(np.mean(other) - np.mean(own))
    low, high = _rounds(arms[arm], arms[baseline])
    reach = max(middle - low, high - middle) if min(len(own), len(other)) < 2 else max(
        middle - low, high - middle, _welch(own, other), _pooled(own, other, list(medians.values()))
    )
    low, high = (float(np.exp(middle + sign * (reach + np.log1p(RELOAD)))) for sign in (-1, 1))
    return Ratio(
        arm=arm, baseline=baseline, batch=batch, speedup=float(np.exp(middle)), low=low, high=high,
        verdict=verdict(low, high) if min(len(own), len(other)) > 1 else "unknown",
    )


def _medians(builds: Sequence[Rounds]) -> Times:
    """Logarithm of each build's median over all its times."""
    return np.log([np.median(np.concatenate(list(rounds))) for rounds in builds])


def _rounds(own: Sequence[Rounds], other: Sequence[Rounds]) -> tuple[float, float]:
    """The noise of running these very builds, as an interval of the logarithm."""
    by_round = _by_round(other) - _by_round(own)
    low, high = interval(np.exp(by_round))
    return float(np.log(low)), float(np.log(high))


def _by_round(builds: Sequence[Rounds]) -> Times:
    middles: Times = np.mean([[np.log(np.median(times)) for times in rounds] for rounds in builds], axis=0)
    return middles


def _welch(own: Times, other: Times) -> float:
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (own, other)]
    weights = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (own, other), strict=True))
    return student(sum(parts) ** 2 / weights) * float(np.sqrt(sum(parts))) if weights else 0.0


def _pooled(own: Times, other: Times, all_arms: Sequence[Times]) -> float:
    freedom = sum(len(values) - 1 for values in all_arms)
    squares = sum(float(np.sum((values - values.mean()) ** 2)) for values in all_arms)
    return student(freedom) * float(np.sqrt(squares / freedom * (1 / len(own) + 1 / len(other))))


def student(freedom: float) -> float:
    """The 97.5 % point of Student's t, never below the exact one: between whole degrees along 1 / degrees.

    Args:
        freedom: degrees of freedom, at least 1; above 10 the point of 10 is taken.
    """
    degrees = np.arange(len(_STUDENT), 0, -1)
    return float(np.interp(1 / freedom, 1 / degrees, _STUDENT[::-1]))


__all__ = ["RELOAD", "Rounds", "build_ratio", "student"]
