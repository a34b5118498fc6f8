from __future__ import annotations

import pytest
from rich.console import Console

from twofour.common.machine import describe
from twofour.engines.config import ProfileConfig
from twofour.engines.records import Latency, ProfileRecord, Ratio
from twofour.pipeline.tables import _engine, profile_table


def latency(arm, p50):
    return Latency(arm=arm, batch=8, runs=1, p50=p50, p90=p50, p95=p50, p99=p50, mean=p50, min=p50, spread=0,
                   throughput=1000 * 8 / p50, samples_ms=[p50])


def ratio(baseline, speedup, verdict, arm="sparse-int8"):
    return Ratio(arm=arm, baseline=baseline, batch=8, speedup=speedup, low=speedup - 0.1, high=speedup + 0.1,
                 verdict=verdict)


def printed(latencies, ratios):
    record = ProfileRecord(backend="tensorrt", options=ProfileConfig(), machine=describe(), latencies=latencies,
                           ratios=ratios, gates=[])
    console = Console(width=140)
    with console.capture() as captured:
        console.print(profile_table(record))
    return captured.get().splitlines()


def row(lines, arm):
    return next(line for line in lines if f" {arm} " in line)


def test_each_baseline_says_what_the_engine_is_against_it():
    lines = printed(
        [latency("sparse-int8", 1.0), latency("dense-fp16", 2.0), latency("sparse-int8-flag-off", 1.02)],
        [ratio("dense-fp16", 2.0, "faster"), ratio("sparse-int8-flag-off", 1.02, "no difference")],
    )
    assert any("sparse-int8 against it" in line for line in lines)
    assert "2.00 times as fast (1.90 to 2.10)" in row(lines, "dense-fp16")
    assert "no difference (0.92 to 1.12)" in row(lines, "sparse-int8-flag-off")
    assert "times" not in row(lines, "sparse-int8")


def test_an_unknown_verdict_names_no_factor():
    lines = printed([latency("sparse-int8", 1.0), latency("dense-fp16", 2.0)], [ratio("dense-fp16", 2.0, "unknown")])
    assert "unknown (1.90 to 2.10)" in row(lines, "sparse-int8")
    assert any("against dense FP16" in line for line in lines)


def test_one_arm_alone():
    assert "1.000" in row(printed([latency("engine", 1.0)], []), "engine")


def test_the_cpu_engine_is_compared_with_fp32_as_ever():
    lines = printed([latency("int8", 1.0), latency("fp32", 2.0)], [ratio("fp32", 2.0, "faster", "int8")])
    assert any("against FP32" in line for line in lines)
    assert "2.00 times as fast" in row(lines, "int8")


@pytest.mark.parametrize(("size", "said"), [
    (1024, "1 KiB, 4.00 times smaller than FP32 (4 KiB)"), (8192, "8 KiB, 2.00 times the size of FP32 (4 KiB)"),
])
def test_an_engine_larger_than_fp32_is_not_called_smaller(size, said):
    figures = {"bytes": size, "fp32_bytes": 4096, "two_four_share": 0.5, "two_four_layers": 1, "layers": 2,
               "ran_sparse_layers": 0}
    console = Console(width=140)
    with console.capture() as captured:
        console.print(_engine("cpu", figures))
    assert said in captured.get()
