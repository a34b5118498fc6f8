from __future__ import annotations

import gc

import numpy as np
import pytest

from twofour.engines.cuda import stopwatch
from twofour.engines.cuda.api import CudaError
from twofour.engines.cuda.memory import DeviceBuffer, PinnedBuffer, download, upload
from twofour.engines.cuda.stopwatch import Work


def kernel(cuda, milliseconds, seen=None):
    """Takes its time, and notes its stream's lane when it runs."""
    def enqueue(stream):
        cuda.launch(stream, lambda: seen is None or seen.append(stream.lane), milliseconds)

    return enqueue


def measure(works, **asked):
    told = []
    defaults = {"seconds": 0.05, "runs": 20, "warmup": 0.005, "graph": False, "spin": True, "streams": 1}
    return stopwatch.interleaved(works, **(defaults | asked), on_progress=told.append), told


def joined(rounds):
    return np.concatenate(rounds)


def test_times_are_those_of_the_work(cuda):
    found, told = measure({"one": Work(kernel(cuda, 1.0)), "two": Work(kernel(cuda, 2.0))})
    for name, each in (("one", 1.0), ("two", 2.0)):
        timed = found[name]
        np.testing.assert_allclose(joined(timed.compute), each, rtol=1e-12)
        np.testing.assert_array_equal(joined(timed.latency), joined(timed.compute))
        assert not joined(timed.upload).any()
        assert not joined(timed.download).any()
        assert timed.seconds >= 0.05
        assert timed.runs == len(joined(timed.compute)) >= 20
        assert timed.runs / timed.seconds == pytest.approx(1000 / each, rel=0.01)
        assert (timed.graph, timed.fallback) == (False, None)
    assert len(found["one"].compute) == len(found["two"].compute) >= 12
    assert told == sorted(told)
    assert told[-1] == 1


def test_when_all_are_warm_it_is_told_before_anything_is_timed(cuda):
    runs, warm = [], []
    works = {name: Work(kernel(cuda, 1.0, runs)) for name in "ab"}
    found, _ = measure(works, warmup=0.02, on_warm=lambda: warm.append(len(runs)))
    (number,) = warm
    assert 40 <= number <= 50
    assert sum(timed.runs for timed in found.values()) <= len(runs) - number


def test_copies_are_timed_apart_and_run_beside_the_computing(cuda):
    cuda.call_ns = 0
    work = Work(kernel(cuda, 1.0), upload=kernel(cuda, 0.5), download=kernel(cuda, 0.25))
    timed = measure({"a": work})[0]["a"]
    for times, each in ((timed.upload, 0.5), (timed.compute, 1.0), (timed.download, 0.25), (timed.latency, 1.75)):
        np.testing.assert_allclose(joined(times), each, rtol=1e-12)
    assert timed.runs / timed.seconds == pytest.approx(1000 / 1.0, rel=0.01)


def test_the_parts_of_one_inference_wait_for_one_another(cuda):
    cuda.lazy = True
    data, answers = np.arange(6, dtype=np.float32), []
    with DeviceBuffer(24) as there, DeviceBuffer(24) as result, PinnedBuffer(24) as up, PinnedBuffer(24) as down:
        up.array(np.float32, (6,))[:] = data
        answer = down.array(np.float32, (6,))

        def double():
            source, target = (cuda.bytes_at(one.address, 24).view(np.float32) for one in (there, result))
            target[:] = 2 * source
            answers.append(target.copy())

        work = Work(
            lambda stream: cuda.launch(stream, double, 1.0),
            upload=lambda stream: upload(there.address, up.array(np.float32, (6,)), stream),
            download=lambda stream: download(answer, result.address, stream),
        )
        measure({"a": work}, seconds=0.01)
        np.testing.assert_array_equal(answers, np.tile(2 * data, (len(answers), 1)))
        np.testing.assert_array_equal(answer, 2 * data)


def test_enqueuing_is_timed_on_the_host(cuda):
    def slow(stream):
        cuda.clock += 40_000
        cuda.launch(stream, milliseconds=1.0)

    timed = measure({"a": Work(slow)})[0]["a"]
    np.testing.assert_allclose(joined(timed.enqueue), 0.041, rtol=1e-12)
    np.testing.assert_allclose(joined(timed.compute), 1.0, rtol=1e-12)


def test_the_device_is_kept_busy_while_the_host_is_quicker(cuda):
    """Without an inference in flight, the launch (40 us here) would be counted as computing."""
    def slow(stream):
        cuda.clock += 40_000
        cuda.launch(stream, milliseconds=0.01)

    timed = measure({"a": Work(slow)}, seconds=0.02)[0]["a"]
    assert np.median(joined(timed.compute)) > 0.04  # the host is the slower one: told by enqueue > compute
    assert np.median(joined(timed.enqueue)) > 0.8 * np.median(joined(timed.compute))


def test_a_graph_where_there_can_be_one(cuda):
    cuda.call_ns = 0
    seen = []
    work = Work(kernel(cuda, 1.0, seen), upload=kernel(cuda, 0.5))
    timed = measure({"a": work}, graph=True)[0]["a"]
    assert (timed.graph, timed.fallback) == (True, None)
    assert cuda.counts["cudaGraphLaunch"] == len(seen) - 1 >= timed.runs
    np.testing.assert_allclose(joined(timed.compute), 1.0, rtol=1e-12)
    np.testing.assert_allclose(joined(timed.upload), 0.5, rtol=1e-12)


def test_no_graph_and_why(cuda):
    def waits(stream):
        cuda.launch(stream, milliseconds=1.0)
        stream.synchronize()

    found, _ = measure({"a": Work(waits), "b": Work(kernel(cuda, 2.0))}, graph=True)
    assert not found["a"].graph
    assert found["a"].fallback.startswith("cudaStreamSynchronize failed: cudaErrorStreamCaptureUnsupported")
    assert found["b"].graph
    assert found["a"].runs >= 20


def test_a_graph_on_all_lanes_or_on_none(cuda):
    cuda.fail("cudaStreamBeginCapture", at=2, error="cudaErrorUnknown")
    timed = measure({"a": Work(kernel(cuda, 1.0))}, graph=True, streams=2)[0]["a"]
    assert (timed.graph, cuda.counts["cudaGraphLaunch"]) == (False, 0)
    assert "cudaErrorUnknown" in timed.fallback


def test_lanes_run_side_by_side(cuda):
    cuda.call_ns = 0
    seen = []
    timed = measure({"a": Work(kernel(cuda, 1.0, seen))}, streams=3)[0]["a"]
    assert {seen.count(lane) for lane in range(3)} == {len(seen) // 3}
    np.testing.assert_allclose(joined(timed.compute), 1.0, rtol=1e-12)
    assert timed.runs / timed.seconds == pytest.approx(3000, rel=0.1)
    assert len(timed.compute) >= 12  # rounds are no longer for it


@pytest.mark.parametrize("spin", [True, False])
def test_how_the_host_waits(cuda, monkeypatch, spin):
    flags = set()
    real = cuda.cudaEventCreateWithFlags
    monkeypatch.setattr(cuda, "cudaEventCreateWithFlags", lambda one: flags.add(int(one)) or real(one), raising=False)
    measure({"a": Work(kernel(cuda, 1.0))}, spin=spin)
    assert flags == {0 if spin else int(cuda.cudaEventBlockingSync)}


def test_events_and_streams_are_made_once(cuda):
    work = Work(kernel(cuda, 0.1), upload=kernel(cuda, 0.1), download=kernel(cuda, 0.1))
    timed = measure({"a": work}, seconds=0.05)[0]["a"]
    assert timed.runs > 300
    assert cuda.counts["cudaEventCreateWithFlags"] == 12
    assert cuda.counts["cudaStreamCreateWithFlags"] == 3


def test_the_order_turns_round_and_the_start_of_a_turn_is_not_counted(cuda):
    seen = []
    works = {
        name: Work(lambda stream, name=name: cuda.launch(stream, lambda: seen.append(name), 0.1)) for name in ("a", "b")
    }
    found, _ = measure(works, warmup=0.0)
    turns = [name for index, name in enumerate(seen) if index == 0 or seen[index - 1] != name]
    rounds = len(found["a"].compute)
    assert len(turns) <= rounds + 3  # the warm-up's two, then a | b b | a a | ...: one change a round
    assert len(seen) >= sum(timed.runs for timed in found.values()) + 2 * rounds * 20  # 2 ms of 0.1 ms each


def test_drift_hits_all_alike(cuda):
    """The device gets slower and slower; the ratio of two works stays what it is."""
    def drifting(milliseconds):
        return lambda stream: cuda.launch(stream, milliseconds=milliseconds * (1 + cuda.clock / 5e8))

    found, _ = measure({"a": Work(drifting(1.0)), "b": Work(drifting(2.0))}, seconds=0.2)
    assert joined(found["a"].compute).max() > 1.5 * joined(found["a"].compute).min()
    medians = [np.median(joined(found[name].compute)) for name in ("a", "b")]
    assert medians[1] / medians[0] == pytest.approx(2, rel=0.02)


def test_the_garbage_collector_rests_and_comes_back(cuda):
    seen = []

    def look(stream):
        seen.append(gc.isenabled())
        cuda.launch(stream, milliseconds=1.0)

    measure({"a": Work(look)})
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize("at", [1, 2, 5, 90])
def test_all_is_released_when_a_work_raises(cuda, at):
    count = iter(range(1, 1000))

    def fails(stream):
        if next(count) == at:
            raise KeyError("broken")
        cuda.launch(stream, milliseconds=1.0)

    with pytest.raises(KeyError):
        measure({"a": Work(kernel(cuda, 1.0), upload=kernel(cuda, 0.1)), "b": Work(fails)}, streams=2)
    cuda.assert_released()


@pytest.mark.parametrize("function", ["cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaEventRecord",
                                      "cudaEventSynchronize", "cudaEventElapsedTime", "cudaGraphLaunch"])
@pytest.mark.parametrize("at", [1, 2, 7])
def test_all_is_released_when_cuda_fails(cuda, function, at):
    cuda.fail(function, at=at, error="cudaErrorLaunchFailure")
    with pytest.raises(CudaError, match=function):
        measure({name: Work(kernel(cuda, 1.0), kernel(cuda, 0.1)) for name in "abcd"}, graph=True)
    cuda.assert_released()


def test_the_device_is_done_before_anything_is_released(cuda):
    cuda.lazy, seen = True, []

    def fails(stream):
        cuda.launch(stream, lambda: seen.append(cuda.alive()["streams"]), 1.0)
        if len(seen) == 3:
            raise KeyError

    with pytest.raises(KeyError):
        measure({"a": Work(fails)})
    assert seen == [1] * 5
