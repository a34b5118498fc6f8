"""From the stopwatch's times of each build of an arm to the figures of the arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..cuda.stopwatch import Timed
from ..intervals import Times, percentile
from ..records import GpuTimes, Latency, Spread
from ..statistics import latency

_DECIMALS = 5  # of a millisecond: events tell half a microsecond


def arm_latency(arm: str, batch: int, builds: Sequence[Timed], *, transfers: bool = False) -> Latency:
    """The figures of one arm at one batch size, over all inferences of all its builds.

    Args:
        arm: its name.
        batch: samples per inference.
        builds: the times of each build; at least one.
        transfers: inputs and outputs were copied in each inference. Defaults to False.
    """
    whole = latency(arm, batch, _all([build.latency for build in builds]))
    seconds = sum(build.seconds for build in builds)
    runs = sum(build.runs for build in builds)
    return whole.model_copy(update={
        "throughput": batch * runs / seconds if seconds else whole.throughput,
        "samples_ms": _rounded(_all([build.latency for build in builds])),
        "builds": [float(np.median(np.concatenate(build.latency))) for build in builds],
        "gpu": _parts(builds, transfers),
    })


def _parts(builds: Sequence[Timed], transfers: bool) -> GpuTimes:
    parts = {
        "computeMs": _all([build.compute for build in builds]), "h2dMs": _all([build.upload for build in builds]),
        "d2hMs": _all([build.download for build in builds]), "enqMs": _all([build.enqueue for build in builds]),
    }
    return GpuTimes(
        cuda_graph=all(build.graph for build in builds),
        fallback=next((build.fallback for build in builds if build.fallback), None),
        compute=spread(parts["computeMs"]), enqueue=spread(parts["enqMs"]),
        h2d=spread(parts["h2dMs"]) if transfers else None,
        d2h=spread(parts["d2hMs"]) if transfers else None,
        variation=max(_variation(np.concatenate(build.compute)) for build in builds),
        samples=_samples(parts, transfers),
    )


def _samples(parts: Mapping[str, Times], transfers: bool) -> dict[str, list[float]]:
    """All parts where data is moved; else the computing is the latency, which is on record already."""
    kept = parts if transfers else {"enqMs": parts["enqMs"]}
    return {name: _rounded(values) for name, values in kept.items()}


def spread(times_ms: Times) -> Spread:
    """The distribution of some times; at least one."""
    p50, p90, p95, p99 = (percentile(times_ms, share) for share in (50, 90, 95, 99))
    return Spread(p50=p50, p90=p90, p95=p95, p99=p99, mean=float(times_ms.mean()), min=float(times_ms.min()))


def _all(builds: Sequence[Sequence[Times]]) -> Times:
    return np.concatenate([times for rounds in builds for times in rounds])


def _variation(times: Times) -> float:
    mean = float(times.mean())
    return float(times.std()) / mean if mean and math.isfinite(mean) else 0.0


def _rounded(times: Times) -> list[float]:
    rounded: list[float] = np.round(times, _DECIMALS).tolist()
    return rounded


__all__ = ["arm_latency", "spread"]
