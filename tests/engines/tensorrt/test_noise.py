from __future__ import annotations

import math

import numpy as np
import pytest

from twofour.engines.tensorrt.noise import RELOAD, build_ratio, student

ARMS = ("sparse-int8", "sparse-int8-flag-off", "dense-int8", "dense-fp16")


def measured(generator, *, builds=3, rebuild=0.02, run=0.006, gain=0.0, rounds=12, draw=None):
    """Four arms of one speed, but that the second takes exp(gain) times as long; builds and loads scatter."""
    draw = draw or (lambda size: generator.normal(0, 1, size))
    arms = {}
    for index, name in enumerate(ARMS):
        centres = rebuild * draw(builds) + generator.normal(0, run, builds) + (gain if index == 1 else 0)
        arms[name] = [[np.exp(centre + generator.normal(0, run, 5)) for _ in range(rounds)] for centre in centres]
    return arms


def verdicts(trials, seed, **asked):
    generator = np.random.default_rng(seed)
    if "draw" in asked:
        asked["draw"] = asked["draw"](generator)
    found = [build_ratio(*ARMS[:2], 1, measured(generator, **asked)).verdict for _ in range(trials)]
    return {name: found.count(name) / trials for name in ("faster", "slower", "no difference", "unknown")}


def test_builds_of_one_network_are_told_apart_in_less_than_one_trial_of_twenty():
    found = verdicts(300, 0)
    assert found["faster"] + found["slower"] <= 0.05
    assert found["unknown"] == 0


def two_tactics(generator):
    return lambda size: generator.choice([-1.0, 1.0], size)


def rarely_bad(generator):
    return lambda size: np.where(generator.random(size) < 0.15, 2.8, 0.0)


@pytest.mark.parametrize("draw", [two_tactics, rarely_bad])
@pytest.mark.parametrize("builds", [2, 3])
def test_so_are_builds_that_scatter_in_steps(draw, builds):
    found = verdicts(150, 1, draw=draw, builds=builds)
    assert found["faster"] + found["slower"] <= 0.05


def test_a_true_gain_of_a_tenth_is_mostly_seen_with_three_builds():
    found = verdicts(150, 2, gain=math.log(1.1))
    assert found["faster"] >= 0.8
    assert found["slower"] == 0


def test_a_gain_inside_the_noise_is_no_difference():
    assert verdicts(100, 3, gain=math.log(1.01))["no difference"] >= 0.95


def test_one_build_says_nothing_however_large_the_gain():
    found = verdicts(20, 4, gain=math.log(3), builds=1)
    assert found["unknown"] == 1


def test_one_arm_with_one_build_is_enough_to_know_nothing():
    arms = measured(np.random.default_rng(5), gain=0.5)
    arms[ARMS[1]] = arms[ARMS[1]][:1]
    assert build_ratio(*ARMS[:2], 1, arms).verdict == "unknown"
    assert build_ratio(ARMS[0], ARMS[2], 1, arms).verdict == "no difference"


def constant(*medians):
    return [[np.full(4, median)] * 12 for median in medians]


def test_the_speed_up_is_the_ratio_of_geometric_means_and_lies_in_its_interval():
    found = build_ratio("a", "b", 4, {"a": constant(1.0, 1.02, 0.98), "b": constant(2.0, 2.04, 1.96)})
    assert found.speedup == pytest.approx(2)
    assert found.low < found.speedup < found.high
    assert (found.arm, found.baseline, found.batch, found.verdict) == ("a", "b", 4, "faster")


def test_student_over_equal_scatter_has_the_textbook_width():
    own, other = constant(0.99, 1.0, 1 / 0.99), constant(1.98, 2.0, 2 / 0.99)
    found = build_ratio("a", "b", 1, {"a": own, "b": other})
    spread = -math.log(0.99)
    reach = 2.776 * spread * math.sqrt(2 / 3) + math.log1p(RELOAD)
    assert math.log(found.high / found.speedup) == pytest.approx(reach, rel=1e-6)
    assert math.log(found.speedup / found.low) == pytest.approx(reach, rel=1e-6)


def test_two_arms_alike_by_chance_get_the_scatter_of_the_others():
    arms = {"a": constant(1.0, 1.0, 1.0), "b": constant(1.02, 1.02, 1.02)}
    assert build_ratio("a", "b", 1, arms).verdict == "faster"
    arms["c"] = constant(0.9, 1.0, 1.1)
    assert build_ratio("a", "b", 1, arms).verdict == "no difference"


def test_an_arm_that_scatters_alone_gets_its_own_scatter():
    quiet = {name: constant(1.0, 1.0, 1.0) for name in "cdefg"}
    found = build_ratio("a", "b", 1, {"a": constant(1.0, 1.0, 1.0), "b": constant(1.0, 1.1, 1.2), **quiet})
    assert found.verdict == "no difference"


def test_noise_of_the_rounds_widens_where_the_builds_are_alike():
    generator = np.random.default_rng(6)
    loud = [[np.full(4, math.exp(value)) for value in generator.normal(0, 0.2, 40)]] * 3
    calm = [[np.full(4, 1.0)] * 40 for _ in range(3)]
    found = build_ratio("a", "b", 1, {"a": loud, "b": calm})
    assert found.high / found.low > 1.1


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 2.7, 3.5, 4, 7.5, 10, 16])
def test_students_point_is_never_below_the_exact_one(freedom):
    stats = pytest.importorskip("scipy.stats")
    exact = stats.t.ppf(0.975, freedom)
    assert exact - 6e-4 <= student(freedom) <= exact * 1.25
