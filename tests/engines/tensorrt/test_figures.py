from __future__ import annotations

import json

import numpy as np
import pytest

from twofour.engines.cuda.stopwatch import Timed
from twofour.engines.tensorrt.figures import arm_latency, spread


def timed(milliseconds, seconds, *, copies=0.0, rounds=3, graph=True, fallback=None):
    compute = [np.full(4, milliseconds) for _ in range(rounds)]
    moved = [np.full(4, copies) for _ in range(rounds)]
    return Timed(compute=compute, upload=moved, download=moved, enqueue=[values / 10 for values in compute],
                 latency=[values + 2 * copies for values in compute], seconds=seconds, runs=4 * rounds, graph=graph,
                 fallback=fallback)


def test_all_builds_make_up_the_arm():
    found = arm_latency("dense-int8", 8, [timed(1.0, 0.012), timed(3.0, 0.036)])
    assert (found.arm, found.batch, found.runs, found.p50, found.min, found.mean) == ("dense-int8", 8, 24, 2, 1, 2)
    assert found.builds == [1, 3]
    assert found.samples_ms == [1.0] * 12 + [3.0] * 12
    assert found.throughput == pytest.approx(8 * 24 / 0.048)


def test_the_throughput_is_by_the_hosts_clock():
    assert arm_latency("a", 1, [timed(1.0, 0.006)]).throughput == pytest.approx(2000)


def test_parts_of_an_inference():
    still = arm_latency("a", 1, [timed(1.0, 0.01)]).gpu
    assert (still.h2d, still.d2h, list(still.samples)) == (None, None, ["enqMs"])
    assert still.compute.p50 == 1
    assert still.enqueue.p99 == pytest.approx(0.1)
    moved = arm_latency("a", 1, [timed(1.0, 0.01, copies=0.25)], transfers=True)
    assert (moved.p50, moved.gpu.compute.p50, moved.gpu.h2d.p50, moved.gpu.d2h.p50) == (1.5, 1, 0.25, 0.25)
    assert {name: len(values) for name, values in moved.gpu.samples.items()} == dict.fromkeys(
        ("computeMs", "h2dMs", "d2hMs", "enqMs"), 12)


def test_variation_is_within_a_build_not_between_builds():
    assert arm_latency("a", 1, [timed(1.0, 0.01), timed(3.0, 0.01)]).gpu.variation == 0
    uneven = Timed(compute=[np.array([0.9, 1.1])], upload=[np.zeros(2)], download=[np.zeros(2)],
                   enqueue=[np.zeros(2)], latency=[np.array([0.9, 1.1])], seconds=0.002, runs=2)
    assert arm_latency("a", 1, [timed(1.0, 0.01), uneven]).gpu.variation == pytest.approx(0.1)


def test_graphs_and_why_not():
    assert arm_latency("a", 1, [timed(1.0, 0.01)]).gpu.cuda_graph
    mixed = arm_latency("a", 1, [timed(1.0, 0.01), timed(1.0, 0.01, graph=False, fallback="no")]).gpu
    assert (mixed.cuda_graph, mixed.fallback) == (False, "no")


def test_samples_are_short_in_json():
    found = arm_latency("a", 1, [timed(1 / 3, 0.01)])
    assert set(found.samples_ms) == {0.33333}
    assert "0.33333," in json.dumps(found.model_dump(mode="json"))


def test_spread_of_known_times():
    found = spread(np.arange(1.0, 101.0))
    assert (found.p50, found.min, found.mean) == (50.5, 1, 50.5)
    assert found.p90 == pytest.approx(90.1)
    assert found.p99 == pytest.approx(99.01)
