from __future__ import annotations

import pytest

from twofour.engines.config import GpuProfileConfig, TensorRTConfig
from twofour.engines.records import ArmBuild, GpuTimes, Latency, LayerEvidence, Spread, TrtexecCheck
from twofour.engines.tensorrt import doubts


def spread(median):
    return Spread(p50=median, p90=median, p95=median, p99=median, mean=median, min=median)


def times(compute=1.0, enqueue=0.1, moved=None, variation=0.01, graph=True, fallback=None):
    copies = None if moved is None else spread(moved)
    return GpuTimes(cuda_graph=graph, fallback=fallback, compute=spread(compute), h2d=copies, d2h=copies,
                    enqueue=spread(enqueue), variation=variation)


def latency(gpu, arm="sparse-int8", batch=8):
    return Latency(arm=arm, batch=batch, runs=1, p50=1, p90=1, p95=1, p99=1, mean=1, min=1, spread=0, throughput=1,
                   samples_ms=[1.0], gpu=gpu)


def said(**asked):
    return list(doubts.of_times([latency(times(**asked))], "by hand"))


def test_a_sound_measurement_raises_none():
    assert said() == []
    assert said(moved=0.99) == []
    assert list(doubts.of_times([latency(None)], "")) == []


@pytest.mark.parametrize(("asked", "text"), [
    ({"enqueue": 0.81}, "Bound by the host with CUDA graphs: a launch takes more than 80% of the computing"),
    ({"enqueue": 0.81, "graph": False}, "Bound by the host without CUDA graphs"),
    ({"moved": 1.0}, "Copies between host and device take as long as the computing"),
    ({"variation": 0.026}, "Unsteady with CUDA graphs: times vary by more than 2.5%; lock the clocks (by hand)"),
    ({"fallback": "it raised."}, "No CUDA graph could be captured (it raised): sparse-int8 at batch 8."),
])
def test_each_doubt_is_said(asked, text):
    (found,) = said(**asked)
    assert found.startswith(text)
    assert found.endswith(": sparse-int8 at batch 8.")


@pytest.mark.parametrize("asked", [{"enqueue": 0.79}, {"variation": 0.024}, {"variation": 0.5, "moved": 0.1}])
def test_limits(asked):
    assert said(**asked) == []


def test_one_line_holds_all_arms_that_it_is_true_of():
    late = times(enqueue=0.9)
    (found,) = doubts.of_times([latency(late), latency(times()), latency(late, "dense-int8", 1), latency(late)], "")
    assert found.endswith(": sparse-int8 at batch 8, dense-int8 at batch 1.")


def test_a_gpu_that_was_held_down_or_slowed():
    fine = {"sm_mhz": 1980, "throttle": []}
    assert list(doubts.of_gpu(fine, fine)) == []
    assert list(doubts.of_gpu({}, {})) == []
    assert list(doubts.of_gpu({"sm_mhz": None, "throttle": None}, fine)) == []
    assert list(doubts.of_gpu({"sm_mhz": 345}, fine)) == []
    assert list(doubts.of_gpu(fine, fine | {"throttle": ["application clocks"]})) == []
    (held,) = doubts.of_gpu(fine | {"throttle": ["power cap"]}, fine | {"throttle": ["hardware slowdown"]})
    assert held == "The GPU's clock was held down: hardware slowdown, power cap."
    (fell,) = doubts.of_gpu(fine, fine | {"sm_mhz": 1800})
    assert fell == "The GPU's clock fell from 1980 to 1800 MHz while it was measured."


def test_trtexec_may_part_by_a_twentieth():
    check = TrtexecCheck(version="11.4.0", batch=8, compute_ms=1.04, own_ms=1.0, command="trtexec")
    assert list(doubts.of_second_opinion(check)) == []
    assert list(doubts.of_second_opinion(None)) == []
    for other in (1.06, 0.94):
        (found,) = doubts.of_second_opinion(check.model_copy(update={"compute_ms": other}))
        assert found.startswith(f"trtexec 11.4.0 measured {other} ms")


def test_what_was_asked_for():
    assert list(doubts.of_settings(GpuProfileConfig(), TensorRTConfig(), [8])) == []
    streams, level, batch = doubts.of_settings(
        GpuProfileConfig(streams=4), TensorRTConfig(optimization_level=2), [1, 8, 32]
    )
    assert streams.startswith("4 inferences were in flight")
    assert level.startswith("Built at optimization level 2")
    assert "at a batch of 8; they are not the best for 1, 32." in batch


def built(arm, number=1, file="x.plan", lines=()):
    return ArmBuild(arm=arm, number=number, file=file, seconds=1.0, out_of_memory=list(lines))


def layer(two_four):
    return LayerEvidence(name="a", op="Conv", shape=[4, 4], two_four=two_four, zeros=0.5, precision="int8", kernel=None,
                         ran_sparse="unknown", reason="")


def test_builds():
    own = built("sparse-int8")
    assert list(doubts.of_builds([own], 3, [layer(True)], ["sparse-int8"])) == []
    assert "built once" in next(doubts.of_builds([own], 1, [layer(True)], ["sparse-int8"]))
    assert "No layer of this network is 2:4" in next(doubts.of_builds([own], 2, [layer(False)], ["sparse-int8"]))
    short = built("sparse-int8", lines=["out of memory"])
    assert "The engine itself" in next(doubts.of_builds([short], 2, [layer(True)], ["sparse-int8"]))
    lost = [own, built("dense-fp16", 1, None, ["x"]), built("dense-fp16", 2)]
    (some,) = doubts.of_builds(lost, 2, [layer(True)], ["sparse-int8", "dense-fp16"])
    assert some.startswith("1 of 2 builds of dense-fp16 were discarded")
    assert "not measured" not in some
