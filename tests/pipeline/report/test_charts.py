import re

import numpy as np

from twofour.common.bundle import Range
from twofour.pipeline.report import charts, engine_charts, metric_chart, plot, weight_charts
from twofour.pipeline.report.collect import collect
from twofour.pipeline.report.layers import layer_views
from twofour.pipeline.report.markup import tag
from twofour.pipeline.report.scale import linear


def names(markup):
    return re.findall(r'<div class="name">([^<]+)', markup)


def test_elements_escape_what_they_are_given():
    assert tag("b", "<i>&", class_='"x') == '<b class="&#34;x">&lt;i&gt;&amp;</b>'
    assert tag("b", tag("i", "x"), None, title=None) == "<b><i>x</i></b>"


def test_accuracy_goes_from_the_dense_model_to_the_engine(finished):
    markup = metric_chart.measured(collect(finished))
    assert names(markup) == [
        "Dense", "2:4, before retraining", "2:4, retrained", "INT8, calibrated", "INT8, fine-tuned (QAT)",
        "Engine, ONNX Runtime on CPU",
    ]
    assert "61.39" in markup
    assert "off the axis" in markup  # the pruned network must not squeeze the rest into one dot
    assert "allowed by the recipe (1 point)" in markup


def test_every_trained_stage_has_its_curves(finished, stopped):
    assert len(charts.curves(collect(finished))) == 6  # calibration trains nothing
    assert len(charts.curves(collect(stopped))) == 2


def test_a_run_of_nothing_has_no_charts(stopped):
    run = collect(stopped)
    assert weight_charts.two_four(layer_views(run)) is None
    assert weight_charts.weights_by_kind([]) is None
    assert weight_charts.ranges("Activations", run.ranges) is None
    run.stages = []
    assert metric_chart.measured(run) is None
    assert charts.time_spent(run) is None


def test_latencies_show_every_batch_with_the_baseline_first(finished):
    found = engine_charts.latencies(collect(finished).engines[0].profile)
    assert [re.search("Latency at batch [0-9]+", item).group() for item in found] == [
        "Latency at batch 1", "Latency at batch 8",
    ]
    assert all(names(item)[:2] == ["FP32", "INT8"] for item in found)


def test_a_distribution_is_the_histogram_of_its_samples():
    art = plot.density("t", "d", [0.0, 0.0, 9.0], linear([0, 10]), "int8", bins=2)
    assert '<path d="M0 400V0.0H500.0V200.0H1000.0V400Z" class="area int8">' in art


def test_speedup_says_no_difference_where_the_interval_holds_one(finished):
    profile = collect(finished).engines[0].profile
    level = profile.ratios[1].model_copy(update={"low": 0.9, "high": 1.2, "verdict": "no difference"})
    markup = engine_charts.speedups(profile.model_copy(update={"ratios": [level]}))
    assert '<div class="value">no difference</div>' in markup
    assert engine_charts.speedups(profile.model_copy(update={"ratios": []})) is None


def test_bit_exact_layers_lie_on_the_top_line(finished):
    validation = collect(finished).engines[0].validation
    exact = [layer.model_copy(update={"snr_db": None, "chained_snr_db": None}) for layer in validation.layers]
    markup = engine_charts.snr(validation.model_copy(update={"layers": exact}))
    assert ">exact</span>" in markup
    dots = re.search(r'd="([^"]+)" class="dots int8"', markup).group(1)
    assert {float(point.split()[1]) for point in re.findall(r"M([0-9.]+ [0-9.]+)", dots)} == {0.0}
    assert engine_charts.snr(validation.model_copy(update={"layers": []})) is None


def test_layers_are_drawn_with_their_measured_zeros(finished):
    markup = weight_charts.two_four(layer_views(collect(finished)))
    assert len(names(markup)) == 20
    assert markup.count("53.1\u00a0% zero") == 18


def test_ranges_of_zero_and_of_many_channels_are_drawn():
    found = [
        Range(tensor="a.weight_quantizer", method="max", amax=[0.0, 0.1, 3.0], axis=0),
        Range(tensor="b.input_quantizer", method="max", amax=0.0, axis=None),
    ]
    markup = weight_charts.ranges("Ranges", found)
    assert names(markup) == ["a", "b"]
    assert "nan" not in markup


def test_no_position_leaves_its_track(finished):
    run = collect(finished)
    found = [metric_chart.measured(run), charts.time_spent(run), engine_charts.speedups(run.engines[0].profile)]
    positions = [float(value) for markup in found for value in re.findall(r"left:([0-9.-]+)%", markup)]
    assert positions
    assert np.all((np.array(positions) >= 0) & (np.array(positions) <= 100))
