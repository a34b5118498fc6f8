"""From raw times to figures: percentiles, throughput, and a ratio with an interval that admits its noise."""

from __future__ import annotations

import numpy as np

from .intervals import Times, interval, percentile, verdict
from .records import Latency, Ratio

MARGIN = 0.02  # sessions of one and the same file differ by up to this much through where memory put them


def latency(arm: str, batch: int, times_ms: Times) -> Latency:
    """The figures of one arm at one batch size.

    Args:
        arm: what was timed.
        batch: samples per inference.
        times_ms: one time per inference in milliseconds, in the order of measurement; at least one.
    """
    low, middle, high = (percentile(times_ms, share) for share in (25, 50, 75))
    total = float(times_ms.sum())
    return Latency(
        arm=arm, batch=batch, runs=len(times_ms),
        p50=middle, p90=percentile(times_ms, 90), p95=percentile(times_ms, 95), p99=percentile(times_ms, 99),
        mean=float(times_ms.mean()), min=float(times_ms.min()),
        spread=(high - low) / middle, throughput=1000 * batch * len(times_ms) / total,
        samples_ms=[float(value) for value in times_ms],
    )


def ratio(arm: str, baseline: str, batch: int, arm_rounds: list[Times], baseline_rounds: list[Times]) -> Ratio:
    """How many times faster `arm` is than `baseline`, judged round by round.

    The speed-up is the median over the rounds of (baseline's median / arm's median). Its interval is `interval`'s,
    widened on both sides by `MARGIN`, the difference that two sessions of the same file show side by side and that no
    number of rounds averages out.

    Args:
        arm: the faster one, by hope.
        baseline: what it is compared with.
        batch: samples per inference.
        arm_rounds: the arm's times, one array per round, in any unit.
        baseline_rounds: the baseline's times in the same rounds and unit.
    """
    ratios = np.array([np.median(b) / np.median(a) for a, b in zip(arm_rounds, baseline_rounds, strict=True)])
    low, high = interval(ratios)
    low, high = low / (1 + MARGIN), high * (1 + MARGIN)
    return Ratio(
        arm=arm, baseline=baseline, batch=batch, speedup=float(np.median(ratios)), low=low, high=high,
        verdict=verdict(low, high),
    )


__all__ = ["MARGIN", "latency", "ratio"]
