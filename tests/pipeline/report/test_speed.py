"""The answers about speed of an engine that was compared with several arms."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from twofour.common.files import read_json, write_json
from twofour.engines.config import ProfileConfig
from twofour.engines.cuda.stopwatch import Timed
from twofour.engines.records import Mode, ProfileRecord
from twofour.engines.tensorrt.figures import arm_latency
from twofour.engines.tensorrt.noise import build_ratio
from twofour.pipeline.report import verdict
from twofour.pipeline.report.collect import collect
from twofour.pipeline.report.layers import layer_views
from twofour.pipeline.report.write import commands, render

OWN, OFF, DENSE8, DENSE16 = "sparse-int8", "sparse-int8-flag-off", "dense-int8", "dense-fp16"


def timed(median, copies):
    generator = np.random.default_rng(0)
    rounds = [median * np.exp(generator.normal(0, 0.002, 6)) for _ in range(12)]
    moved = [np.full(6, copies) for _ in rounds]
    return Timed(compute=rounds, upload=moved, download=moved, enqueue=[values / 50 for values in rounds],
                 latency=[values + 2 * copies for values in rounds], seconds=median * 72 / 1000, runs=72, graph=True)


def measured(medians, builds, copies=0.0):
    times = {arm: [timed(median * scale, copies) for scale in (1, 1.01, 0.99)[:builds]]
             for arm, median in medians.items()}
    rounds = {arm: [one.latency for one in found] for arm, found in times.items()}
    first, *others = medians
    return ([arm_latency(arm, 8, found, transfers=bool(copies)) for arm, found in times.items()],
            [build_ratio(first, other, 8, rounds) for other in others])


@pytest.fixture
def run(finished):
    """The finished run, with an engine of TensorRT whose arms took these times."""

    def make(medians, each=3, **extra):
        folder = finished / "engines" / "tensorrt-nvidia-a100"
        own = finished / "engines" / "onnxruntime-cpu"
        record = read_json(own / "engine.json")
        record |= {"backend": "tensorrt", "device": "nvidia-a100", "baseline": None, "options": {"backend": "tensorrt"}}
        (folder / "profile").mkdir(parents=True)
        write_json(folder / "engine.json", record)
        latencies, ratios = measured(medians, each)
        moved = measured(medians, each, copies=0.1)
        mode = Mode(cuda_graph=True, transfers=True, latencies=moved[0], ratios=moved[1])
        profile = ProfileRecord(**{
            "backend": "tensorrt", "options": ProfileConfig(), "machine": {}, "latencies": latencies, "ratios": ratios,
            "gates": [], "modes": [mode], **extra,
        })
        (folder / "profile" / "profile.json").write_text(json.dumps(profile.model_dump(mode="json")))
        return collect(finished)

    return make


def cards(run):
    engine = next(engine for engine in run.engines if engine.record.backend == "tensorrt")
    assert engine.profile is not None, run.problems
    return {card.question: card for card in verdict.cards(engine, layer_views(run))}


def text(run):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", render(run)).replace("\u00a0", " "))


def test_precision_and_zeros_are_two_questions(run):
    found = cards(run({OWN: 1.0, DENSE16: 2.0, DENSE8: 1.02, OFF: 1.005}))
    precision, zeros = found["Is it faster than dense FP16?"], found["Do the zeros make it faster?"]
    assert (precision.word, precision.figure) == ("faster", "2.00\u00d7")
    assert len(precision.lines) == 1
    assert (zeros.word, zeros.figure, zeros.tone) == ("no difference", "\u2013", "neutral")


def test_the_zeros_are_credited_only_against_the_same_network(run):
    zeros = cards(run({OWN: 1.0, DENSE16: 2.0, DENSE8: 1.5}))["Do the zeros make it faster?"]
    assert (zeros.word, zeros.tone) == ("not measured", "none")
    assert "Only the same network" in zeros.lines[0]


def test_the_zeros_do_make_it_faster(run):
    zeros = cards(run({OWN: 1.0, DENSE16: 2.0, OFF: 1.5}))["Do the zeros make it faster?"]
    assert (zeros.word, zeros.figure) == ("faster", "1.50\u00d7")


def test_one_build_gives_no_figure(run):
    found = run({OWN: 1.0, DENSE16: 2.0, OFF: 1.5}, each=1)
    for question in ("Is it faster than dense FP16?", "Do the zeros make it faster?"):
        card = cards(found)[question]
        assert (card.word, card.figure, card.tone) == ("unknown", "\u2013", "none")
        assert "no verdict" in card.lines[-1]
        assert "2.00" not in card.figure


def test_the_page_shows_warnings_ways_builds_shares_and_the_gpu(run):
    found = run(
        {OWN: 1.0, DENSE16: 2.0, OFF: 1.5}, warnings=["The GPU's clock was held down: <power cap>."],
        node_shares={"head": 0.75, "stem": 0.25}, gpu_before={"sm_mhz": 1980, "throttle": []},
        gpu_after={"sm_mhz": 1950, "power_w": None},
        builds=[{"arm": OWN, "number": 1, "file": "engine.plan", "seconds": 1.0}],
    )
    page = text(found)
    assert "held down: &lt;power cap&gt;" in render(found)
    for part in (
        "sparse INT8 without sparse kernels", "CUDA graphs, data copied in and out", "1.00 ms, 1.01 ms, 0.990 ms",
        "Where the time goes (2 of 20 layers)", "75.0 %", "Batch 8, against dense FP16", "as fast as the other",
        "sm_mhz 1980 1950", "power_w not known not known", "launched as CUDA graphs",
    ):
        assert part in page, part


def test_the_command_asks_for_the_same_profile_again(run):
    gpu = {"rebuilds": 5, "arms": [DENSE16, OWN], "spin": False, "cuda_graph": "on"}
    found = run({OWN: 1.0, DENSE16: 2.0}, options=ProfileConfig(batch=[8], gpu=gpu))
    told = " ".join(command for _, command in commands(found))
    assert ("twofour profile engines/tensorrt-nvidia-a100 --batch 8 --seconds 3 --cuda-graph on --no-spin --rebuilds 5 "
            "--arm dense-fp16 --arm sparse-int8") in told


def test_the_gpu_is_among_the_machine_although_another_engine_comes_first(run):
    found = text(run({OWN: 1.0, DENSE16: 2.0}, machine={"gpu": "NVIDIA A100", "gpu_memory_bytes": 40_000_000_000}))
    assert "NVIDIA A100" in found
    assert "40.0 GB" in found


def test_an_engine_timed_alone_is_compared_with_nothing(run):
    found = run({"engine": 1.0})
    card = cards(found)["Is it faster?"]
    assert (card.word, card.lines) == ("not measured", ("The engine was timed alone.",))
    assert "Timed alone by CUDA events" in text(found)
