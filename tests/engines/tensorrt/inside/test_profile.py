"""An engine beside its arms, and a deployed plan alone: what is built, kept, timed, said and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from twofour.common import bundle as bundles
from twofour.common.errors import MissingError, UserError
from twofour.engines.config import ProfileConfig, TensorRTConfig
from twofour.engines.records import ProfileRecord, read_engine
from twofour.engines.tensorrt import rebuilds, session
from twofour.engines.tensorrt.build import build_engine
from twofour.engines.tensorrt.profile import profile_arms, profile_plan

OWN, OFF, DENSE8, DENSE16 = "sparse-int8", "sparse-int8-flag-off", "dense-int8", "dense-fp16"
MS = {OWN: 5.0, OFF: 8.0, DENSE8: 10.0, DENSE16: 20.0}
SCATTER = (1.0, 1.01, 0.99)


def arm_of(header):
    if not header["int8"]:
        return DENSE16
    if not header["two_four"]:
        return DENSE8
    return OWN if "SPARSE_WEIGHTS" in header["flags"] else OFF


@pytest.fixture
def folder(trt, gpu, trt_bundle, tmp_path):
    """The engine's folder; each arm takes its time, and builds of one arm scatter by 1 %."""
    trt.double.run = lambda model, inputs, names: {name: np.zeros((len(inputs["x"]), 10), np.float32) for name in names}
    trt.double.run_ms = lambda header: MS[arm_of(header)] * SCATTER[header["number"] % 3]
    folder = tmp_path / "engines" / "tensorrt-gpu"
    build_engine(bundles.read(trt_bundle), TensorRTConfig(), folder)
    return folder


@pytest.fixture
def profile(folder, trt_bundle):
    def run(options=None, trust=False, **asked):
        gpu = {"cuda_graph": "on", "transfers": False} | asked.pop("gpu", {})
        config = ProfileConfig(**{"batch": [8], "seconds": 0.003, "runs": 12, "warmup": 0.0, "gpu": gpu} | asked)
        record = read_engine(folder)
        return profile_arms(folder, record, bundles.read(trt_bundle), config, options or record.options, trust=trust)

    return run


def arms(record):
    return [latency.arm for latency in record.latencies]


def test_four_arms_are_built_three_times_and_timed(profile, trt):
    record = profile()
    assert arms(record) == [OWN, DENSE16, DENSE8, OFF]
    assert [arm_of(header) for header in trt.double.builds] == [OWN] * 3 + [DENSE16] * 3 + [DENSE8] * 3 + [OFF] * 3
    for latency in record.latencies:
        assert latency.p50 == pytest.approx(MS[latency.arm], rel=0.02)
        assert sorted(latency.builds) == pytest.approx([MS[latency.arm] * part for part in sorted(SCATTER)], rel=1e-3)
        assert latency.runs == len(latency.samples_ms) >= 12
        assert latency.throughput == pytest.approx(8000 / MS[latency.arm], rel=0.1)
    assert ProfileRecord.model_validate_json(record.model_dump_json()) == record


def test_the_engine_is_compared_with_each_arm(profile):
    ratios = profile().ratios
    assert [(ratio.arm, ratio.baseline, ratio.verdict) for ratio in ratios] == [
        (OWN, DENSE16, "faster"), (OWN, DENSE8, "faster"), (OWN, OFF, "faster"),
    ]
    for ratio in ratios:
        assert ratio.speedup == pytest.approx(MS[ratio.baseline] / MS[OWN], rel=0.01)


def test_a_gain_inside_the_noise_of_building_is_no_difference(profile, trt, monkeypatch):
    monkeypatch.setitem(MS, OFF, 5.05)
    assert profile(gpu={"arms": [OFF, OWN]}).ratios[0].verdict == "no difference"


def test_the_dense_arms_hold_no_zeros_and_only_one_of_them_is_int8(profile, trt):
    profile(gpu={"rebuilds": 1})
    dense16, dense8, off = trt.double.builds[1:]
    assert (dense16["int8"], dense16["two_four"], dense16["flags"]) == (False, [], ["TF32"])
    assert (dense8["int8"], dense8["two_four"], dense8["flags"]) == (True, [], ["SPARSE_WEIGHTS", "TF32"])
    assert (off["int8"], bool(off["two_four"]), off["flags"]) == (True, True, ["TF32"])


def test_no_rebuild_sees_a_timing_cache(profile, trt):
    profile()
    assert [header["timing_cache"] for header in trt.double.builds] == [True] + [False] * 11


@pytest.mark.one_release
def test_the_ways_that_were_asked_for(profile):
    record = profile(gpu={"cuda_graph": "both", "transfers": True})
    assert all(latency.gpu.cuda_graph and latency.gpu.h2d is None for latency in record.latencies)
    assert all(latency.p50 == latency.gpu.compute.p50 for latency in record.latencies)
    assert [(mode.cuda_graph, mode.transfers) for mode in record.modes] == [(False, False), (True, True)]
    moved = record.modes[1].latencies[0].gpu
    assert moved.h2d.p50 > 0
    assert moved.d2h is not None
    assert set(moved.samples) == {"computeMs", "h2dMs", "d2hMs", "enqMs"}
    assert set(record.latencies[0].gpu.samples) == {"enqMs"}
    assert [mode.ratios[0].verdict for mode in record.modes] == ["faster"] * 2


@pytest.mark.one_release
@pytest.mark.parametrize(("asked", "headline", "others"), [
    ({"cuda_graph": "off", "transfers": False}, False, []),
    ({"cuda_graph": "on", "transfers": True}, True, [(True, True)]),
    ({"cuda_graph": "off", "transfers": True}, False, [(False, True)]),
])
def test_ways_can_be_left_out(profile, asked, headline, others):
    record = profile(gpu=asked | {"rebuilds": 1, "arms": [OWN]})
    assert {latency.gpu.cuda_graph for latency in record.latencies} == {headline}
    assert [(mode.cuda_graph, mode.transfers) for mode in record.modes] == others


def test_without_capture_every_arm_is_launched_plainly_and_it_is_said(profile, cuda):
    cuda.fail("cudaStreamEndCapture", error="cudaErrorStreamCaptureUnsupported", times=None)
    record = profile(gpu={"transfers": True, "rebuilds": 2})
    assert not any(latency.gpu.cuda_graph for latency in record.latencies)
    assert [(mode.cuda_graph, mode.transfers) for mode in record.modes] == [(False, True)]
    assert any(text.startswith("No CUDA graph at batch 8") for text in record.warnings)


@pytest.mark.one_release
def test_a_lane_that_can_not_be_captured_keeps_all_from_graphs(profile, cuda):
    cuda.fail("cudaStreamEndCapture", at=2, error="cudaErrorStreamCaptureUnsupported")
    record = profile(gpu={"streams": 2, "rebuilds": 1, "arms": [OWN]})
    assert not any(latency.gpu.cuda_graph for latency in record.latencies)
    assert any(text.startswith("No CUDA graph at batch 8") for text in record.warnings)


@pytest.mark.one_release
def test_the_gpu_is_looked_at_when_it_is_warm_and_right_after_the_last_inference(profile, trt, monkeypatch):
    monkeypatch.setattr(session, "snapshot", lambda: {"runs": trt.double.executions})
    figures, seen = session.arm_latency, []

    def watch(*args, **options):
        seen.append(trt.double.executions)
        return figures(*args, **options)

    monkeypatch.setattr(session, "arm_latency", watch)
    record = profile(warmup=0.5, gpu={"rebuilds": 1, "arms": [OWN, OFF], "cuda_graph": "off"})
    warm = 0.5 * (1 / 0.005 + 1 / 0.008)
    assert warm < record.gpu_before["runs"] < 1.2 * warm
    assert record.gpu_after["runs"] == seen[0]


@pytest.mark.one_release
def test_a_second_profile_builds_nothing(profile, trt):
    first = profile(gpu={"rebuilds": 2})
    count = len(trt.double.builds)
    assert profile(gpu={"rebuilds": 2}).builds == first.builds
    assert len(trt.double.builds) == count == 8


@pytest.mark.one_release
def test_more_rebuilds_build_only_what_is_missing(profile, trt):
    profile(gpu={"rebuilds": 1, "arms": [OFF]})
    count = len(trt.double.builds)
    profile(gpu={"rebuilds": 3, "arms": [OFF]})
    assert [arm_of(header) for header in trt.double.builds[count:]] == [OWN, OWN, OFF, OFF]


def index(folder):
    return json.loads((folder / "arms" / "arms.json").read_text())


@pytest.mark.one_release
def test_the_index_tells_all_that_a_plan_came_from(profile, folder, trt, gpu):
    profile(gpu={"rebuilds": 2, "arms": [OWN]})
    (stored,) = index(folder)["plans"]
    assert (stored["arm"], stored["number"], stored["file"]) == (OWN, 2, "sparse-int8-2.plan")
    assert stored["origin"]["bundle_digest"] == read_engine(folder).bundle_digest
    assert stored["origin"]["version"] == trt.__version__
    assert stored["origin"]["gpu"]["uuid"] == gpu.uuid
    assert stored["origin"]["options"]["timing_cache"] == "off"
    assert {"sha256", "signature", "sparsity_log", "seconds"} <= set(stored)


@pytest.mark.one_release
@pytest.mark.parametrize("damage", ["cut", "gone", "other", "unsigned"])
def test_a_plan_that_is_not_what_the_index_says_is_built_again(profile, folder, trt, damage, monkeypatch, tmp_path):
    profile(gpu={"rebuilds": 2, "arms": [OWN]})
    path = folder / "arms" / "sparse-int8-2.plan"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "gone":
        path.unlink()
    elif damage == "other":
        path.write_bytes((folder / "engine.plan").read_bytes() + b" ")
    else:
        content = index(folder)
        content["plans"][0]["signature"] = "0" * 64
        (folder / "arms" / "arms.json").write_text(json.dumps(content))
    count = len(trt.double.builds)
    profile(gpu={"rebuilds": 2, "arms": [OWN]})
    assert len(trt.double.builds) == count + 1
    assert len(index(folder)["plans"]) == 1


@pytest.mark.one_release
def test_a_damaged_index_is_said_and_all_is_built_again(profile, folder, trt, capsys):
    profile(gpu={"rebuilds": 2, "arms": [OWN]})
    (folder / "arms" / "arms.json").write_text("{")
    profile(gpu={"rebuilds": 2, "arms": [OWN]})
    assert "arms.json is damaged" in capsys.readouterr().err
    assert len(trt.double.builds) == 3


@pytest.mark.one_release
def test_an_engine_that_was_built_anew_gets_new_arms(profile, folder, trt, trt_bundle):
    profile(gpu={"rebuilds": 1, "arms": [OWN, OFF]})
    build_engine(bundles.read(trt_bundle), TensorRTConfig(opt_batch=16), folder)
    count = len(trt.double.builds)
    profile(gpu={"rebuilds": 1, "arms": [OWN, OFF]})
    assert len(trt.double.builds) == count + 1
    assert tuple(trt.double.builds[-1]["profiles"][0]["x"][1]) == (16, 64)


def test_ctrl_c_keeps_what_is_finished(profile, folder, trt, monkeypatch):
    build, seen = rebuilds.build_plan, []

    def interrupted(*args, **options):
        seen.append(options["label"])
        if len(seen) == 3:
            raise KeyboardInterrupt
        return build(*args, **options)

    monkeypatch.setattr(rebuilds, "build_plan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        profile()
    assert [stored["file"] for stored in index(folder)["plans"]] == ["sparse-int8-2.plan", "sparse-int8-3.plan"]
    assert not [path for path in (folder / "arms").iterdir() if path.name.startswith(".")]
    monkeypatch.setattr(rebuilds, "build_plan", build)
    count = len(trt.double.builds)
    profile(gpu={"arms": [OWN, DENSE16]})
    assert len(trt.double.builds) == count + 3


@pytest.mark.one_release
def test_a_build_that_was_short_of_memory_is_discarded_and_said(profile, trt, folder, monkeypatch):
    build = rebuilds.build_plan

    def short(*args, **options):
        bad = options["label"].startswith(DENSE8) or options["label"] == f"{OFF} 2"
        trt.double.fail_build = "skips tactics" if bad else None
        return build(*args, **options)

    monkeypatch.setattr(rebuilds, "build_plan", short)
    record = profile()
    assert arms(record) == [OWN, DENSE16, OFF]
    lost = [(build.arm, build.number) for build in record.builds if build.file is None]
    assert lost == [(DENSE8, 1), (DENSE8, 2), (DENSE8, 3), (OFF, 2)]
    assert all(build.out_of_memory for build in record.builds if build.file is None)
    assert any(text.startswith(f"3 of 3 builds of {DENSE8} were discarded") and "not measured" in text
               for text in record.warnings)
    assert any(text.startswith(f"1 of 3 builds of {OFF}") for text in record.warnings)
    assert len(record.latencies[2].builds) == 2
    assert not (folder / "arms" / "sparse-int8-flag-off-2.plan").exists()


@pytest.mark.one_release
def test_a_gate_whose_baseline_was_discarded_is_not_held_against_another_arm(profile, trt, monkeypatch):
    trt.double.fail_build = "skips tactics"
    with pytest.raises(MissingError, match="every build of dense-fp16"):
        profile(min_speedup=1.1, gpu={"arms": [DENSE16, OFF, OWN]})


@pytest.mark.one_release
def test_one_build_proves_nothing(profile):
    record = profile(gpu={"rebuilds": 1})
    assert {ratio.verdict for ratio in record.ratios} == {"unknown"}
    assert any("built once" in text for text in record.warnings)


@pytest.mark.one_release
def test_a_gate_needs_rebuilds_and_a_baseline(profile, trt):
    with pytest.raises(UserError, match="each arm is built once"):
        profile(min_speedup=1.1, gpu={"rebuilds": 1})
    with pytest.raises(UserError, match="no baseline"):
        profile(min_speedup=1.1, gpu={"arms": [OWN]})
    assert len(trt.double.builds) == 1


@pytest.mark.one_release
def test_the_gates_are_held_against_the_engine_and_the_first_arm(profile):
    speedup, latency = profile(min_speedup=3.0, max_latency_ms=4.0).gates[::-1]
    assert (speedup.name, speedup.met) == ("min_speedup", True)
    assert speedup.value == pytest.approx(3.8, rel=0.05)
    assert (latency.name, latency.met) == ("max_latency_ms", False)


@pytest.mark.one_release
def test_the_latency_is_asked_of_the_engine_not_of_its_rebuilds(profile, trt):
    trt.double.run_ms = lambda header: 5.0 if header["number"] == 0 else 50.0
    record = profile(max_latency_ms=6.0, gpu={"arms": [OWN]})
    assert record.gates[0].met
    assert record.gates[0].value == pytest.approx(5.0, rel=0.01)
    assert record.latencies[0].p50 > 40


@pytest.mark.one_release
def test_a_profile_without_layer_times_is_a_profile(profile, trt, monkeypatch, capsys):
    from twofour.engines.cuda.api import CudaError
    from twofour.engines.tensorrt import profile as module

    def refuse(*_):
        raise CudaError("TensorRT reports no times of its layers.")

    monkeypatch.setattr(module, "layer_times", refuse)
    record = profile(gpu={"rebuilds": 1, "arms": [OWN]})
    assert (record.layer_shares, record.node_shares) == ({}, {})
    assert record.latencies
    assert "shares of the time are not known" in capsys.readouterr().err


@pytest.mark.one_release
def test_so_it_is_where_the_release_has_no_profiler(profile, monkeypatch, capsys):
    from twofour.engines.tensorrt import layer_times as module

    lacking = replace(module.capabilities(), layer_times=False)
    monkeypatch.setattr(module, "capabilities", lambda: lacking)
    assert profile(gpu={"rebuilds": 1, "arms": [OWN]}).layer_shares == {}
    assert "no profiler of layers" in capsys.readouterr().err


def test_layer_shares_are_joined_with_the_nodes(profile, trt):
    trt.double.layer_ms = lambda name: 3.0 if name.startswith("fc1") else 1.0
    record = profile(gpu={"rebuilds": 1, "arms": [OWN]})
    assert sum(record.layer_shares.values()) == pytest.approx(1)
    assert set(record.node_shares) == {"fc1", "fc2"}
    assert record.node_shares["fc1"] == pytest.approx(max(record.layer_shares.values()))


def test_a_batch_that_the_engine_refuses_is_said_before_anything_is_built(profile, trt):
    with pytest.raises(UserError, match="batch of 65"):
        profile(batch=[8, 65])
    assert len(trt.double.builds) == 1


@pytest.mark.one_release
def test_what_the_engine_refuses_names_its_file(profile, folder):
    with pytest.raises(UserError, match=r"engine\.plan: .*batch of 65"):
        profile(batch=[65])
    with pytest.raises(UserError, match=r"engine\.plan: .*batch of 65"):
        profile_plan(folder / "engine.plan", ProfileConfig(batch=[65]), TensorRTConfig(), {})


@pytest.mark.one_release
def test_builds_that_may_not_fit_at_once_are_said_before_and_what_helps(profile, cuda, trt, capsys):
    cuda.memory_bytes = 5 << 20
    with pytest.raises(MissingError, match=r"The 12 builds .* don't fit at once.*--arm.*--rebuilds"):
        profile()
    said = capsys.readouterr().err
    assert "All 12 builds are loaded at once, which takes 12 MiB" in said
    assert "5 MiB of the GPU's memory are free" in said
    assert len(trt.double.builds) == 12  # they are kept: fewer can be profiled at once
    assert profile(gpu={"rebuilds": 2, "arms": [OWN, OFF]}).latencies
    assert len(trt.double.builds) == 12
    assert "at once" not in capsys.readouterr().err


@pytest.mark.one_release
def test_other_batches_than_the_one_it_was_tuned_for_are_said(profile):
    record = profile(batch=[1, 8], gpu={"rebuilds": 1, "arms": [OWN]})
    assert [latency.batch for latency in record.latencies] == [1, 8]
    assert any("chosen at a batch of 8" in text and "best for 1." in text for text in record.warnings)


@pytest.mark.one_release
def test_options_other_than_the_engines_are_refused(profile, trt):
    with pytest.raises(UserError, match="another workspace_mib"):
        profile(TensorRTConfig(workspace_mib=7))
    assert profile(TensorRTConfig(timing_cache="off"), gpu={"rebuilds": 1, "arms": [OWN]}).latencies


@pytest.mark.one_release
def test_an_engine_of_someone_else_needs_trust(profile, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    with pytest.raises(UserError, match="not built by you"):
        profile(gpu={"rebuilds": 1, "arms": [OWN]})
    assert profile(trust=True, gpu={"rebuilds": 1, "arms": [OWN]}).latencies


@pytest.mark.one_release
def test_an_engine_built_without_the_flag_is_its_own_arm(trt, folder, profile, trt_bundle):
    build_engine(bundles.read(trt_bundle), TensorRTConfig(sparse=False), folder)
    record = profile(gpu={"rebuilds": 1})
    assert arms(record) == [OFF, DENSE16, DENSE8, OWN]
    assert record.builds[0].file == "engine.plan"


@pytest.mark.one_release
def test_several_streams(profile):
    record = profile(gpu={"streams": 2, "rebuilds": 2, "arms": [OWN, OFF]})
    assert any("2 inferences were in flight" in text for text in record.warnings)


@pytest.mark.one_release
@pytest.mark.parametrize(("function", "at"), [("cudaMalloc", 9), ("cudaEventRecord", 30), ("cudaGraphLaunch", 5)])
def test_all_is_released_when_cuda_fails(profile, cuda, function, at):
    cuda.fail(function, at=at)
    with pytest.raises(Exception, match=function if function != "cudaMalloc" else "don't fit"):
        profile(gpu={"rebuilds": 2, "arms": [OWN, OFF]})
    cuda.assert_released()


def test_a_deployed_plan_alone(folder, trt):
    config = ProfileConfig(batch=[1, 8], seconds=0.01, runs=12, warmup=0.0)
    record = profile_plan(folder / "engine.plan", config, TensorRTConfig(), {})
    assert [(latency.arm, latency.batch) for latency in record.latencies] == [("engine", 1), ("engine", 8)]
    assert record.ratios == []
    assert record.builds == []
    assert record.layer_shares
    assert len(trt.double.builds) == 1


def test_a_plan_without_a_record_needs_trust(folder, tmp_path):
    path = tmp_path / "deployed.plan"
    path.write_bytes((folder / "engine.plan").read_bytes())
    config = ProfileConfig(batch=[8], seconds=0.01, runs=12, warmup=0.0)
    with pytest.raises(UserError, match="can execute code"):
        profile_plan(path, config, TensorRTConfig(), {})
    assert profile_plan(path, config, TensorRTConfig(), {}, trust=True).latencies[0].arm == "deployed"


def test_an_onnx_file_is_typed_and_built_first(trt_bundle, gpu, trt, tmp_path):
    config = ProfileConfig(batch=[128], seconds=0.01, runs=12, warmup=0.0)
    record = profile_plan(trt_bundle / "model.onnx", config, TensorRTConfig(timing_cache="off"), {})
    assert record.latencies[0].arm == "model"
    (built,) = trt.double.builds
    assert [list(shape) for shape in built["profiles"][0]["x"]] == [[1, 64], [8, 64], [128, 64]]


@pytest.mark.one_release
def test_a_gate_on_the_speed_up_of_a_plan_alone_is_refused(folder):
    config = ProfileConfig(min_speedup=1.0)
    with pytest.raises(UserError, match="no baseline"):
        profile_plan(folder / "engine.plan", config, TensorRTConfig(), {})


@pytest.mark.one_release
@pytest.mark.parametrize(("shapes", "said"), [
    ({"y": [1, 64]}, "no input 'y'"), ({"x": [1, 64, 1]}, "2 dimensions"), ({"x": [1, 63]}, r"can't have the shape"),
])
def test_a_wrong_shape_is_said(folder, shapes, said):
    with pytest.raises(UserError, match=said):
        profile_plan(folder / "engine.plan", ProfileConfig(batch=[8]), TensorRTConfig(), shapes)


@pytest.mark.one_release
def test_made_up_inputs_are_always_the_same(folder):
    from twofour.engines.tensorrt.made_up import random_batch
    from twofour.engines.tensorrt.plan import read_plan
    from twofour.engines.tensorrt.ports import ports_of

    ports = ports_of(read_plan(folder / "engine.plan", None, trust=True).engine)
    first, again = (random_batch(ports, 4, {"x": [1, 64]}) for _ in range(2))
    assert first["x"].shape == (4, 64)
    assert first["x"].dtype == np.float32
    np.testing.assert_array_equal(first["x"], again["x"])
