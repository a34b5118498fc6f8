from __future__ import annotations

import pytest

from twofour.common.metric import METRICS, loss_of, lower_is_better, metric_in, written


@pytest.mark.parametrize("metric", METRICS)
def test_a_loss_is_positive_where_the_value_is_worse(metric):
    better, worse = (2.0, 3.0) if lower_is_better(metric) else (0.9, 0.8)
    assert loss_of(metric, better, worse) > 0 > loss_of(metric, worse, better)
    assert loss_of(metric, better, better) == 0


def test_a_distance_rises_by_a_share_and_others_fall_by_points():
    assert loss_of("feature_distance", 4.0, 5.0) == pytest.approx(0.25)
    assert loss_of("ssim", 0.98, 0.95) == pytest.approx(0.03)


def test_each_is_written_in_its_own_way():
    assert [written("accuracy", 0.98611), written("ssim", 0.98749), written("feature_distance", 3.2149)] == [
        "98.61 %", "0.987", "3.21"]


def test_the_metric_is_the_first_name_that_is_one():
    assert metric_in(["epoch", "loss", "ssim", "feature_distance"]) == "ssim"
    assert metric_in(["loss"]) is None
