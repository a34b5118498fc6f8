"""Work for the stopwatch, and the layers' shares of the time."""

import numpy as np
import pytest

from twofour.common.errors import UserError
from twofour.engines.cuda.api import CudaError
from twofour.engines.cuda.stopwatch import interleaved
from twofour.engines.cuda.stream import Stream
from twofour.engines.tensorrt.layer_times import layer_times
from twofour.engines.tensorrt.logger import Log, logger
from twofour.engines.tensorrt.runner import TensorRTRunner


@pytest.fixture
def runner(gpu, trt, conv_model):
    writer = logger(Log(loud=False))
    builder = trt.Builder(writer)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, writer).parse(conv_model.SerializeToString())
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    made = TensorRTRunner(trt.Runtime(writer).deserialize_cuda_engine(bytes(plan)))
    yield made
    made.close()


def samples(count=2):
    return {"x": np.random.default_rng(0).standard_normal((count, 3, 8, 8)).astype(np.float32)}


def test_the_three_parts_answer_as_infer_does(runner):
    expected = runner.infer(samples())["logits"]
    with runner.prepare(samples(), lanes=2) as prepared:
        for number in range(2):
            with Stream(number) as stream:
                prepared.work.upload(stream)
                prepared.work.enqueue(stream)
                prepared.work.download(stream)
                stream.synchronize()
            np.testing.assert_array_equal(prepared.outputs(number)["logits"], expected)


@pytest.mark.parametrize("graph", [False, True])
def test_the_stopwatch_runs_it_with_and_without_graphs_and_on_two_streams(runner, cuda, graph):
    with runner.prepare(samples(), lanes=2) as prepared:
        timed = interleaved({"a": prepared.work}, seconds=0.001, runs=20, warmup=0.0, graph=graph, spin=True, streams=2,
                            on_progress=lambda share: None)["a"]
    assert timed.runs >= 20
    assert (timed.graph, timed.fallback) == (graph, None)
    assert (cuda.counts["cudaGraphLaunch"] > 0) is graph


def test_nothing_is_allocated_under_the_stopwatch(runner, cuda):
    with runner.prepare(samples()) as prepared, Stream() as stream:
        before = cuda.counts["cudaMalloc"], cuda.counts["cudaHostAlloc"]
        for part in (prepared.work.upload, prepared.work.enqueue, prepared.work.download):
            part(stream)
        assert (cuda.counts["cudaMalloc"], cuda.counts["cudaHostAlloc"]) == before


def test_inputs_are_checked_as_for_infer(runner):
    with pytest.raises(UserError, match="batch of 5; the engine takes 1 to 4"):
        runner.prepare(samples(5))


@pytest.mark.parametrize("function", ["cudaMalloc", "cudaHostAlloc", "cudaStreamCreateWithFlags", "cudaMemcpyAsync"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_half_prepared_batch_is_given_back(runner, cuda, function, at):
    cuda.fail(function, at=at)
    with pytest.raises(CudaError):
        runner.prepare(samples(), lanes=2)
    assert not cuda.alive()


def test_layers_have_shares_of_the_mean_time_in_the_engines_order(runner, trt):
    calls = {}

    def milliseconds(name):
        calls[name] = calls.get(name, 0) + 1
        first = 100.0 if calls[name] <= 3 and name.startswith("stem") else 1.0  # the first runs are no measure
        return first * (3.0 if name.startswith("body") else 1.0)

    trt.double.layer_ms = milliseconds
    shares = layer_times(runner, samples(), runs=5)
    assert set(calls.values()) == {8}
    assert list(shares) == list(calls)
    assert sum(shares.values()) == pytest.approx(1)
    body = next(share for name, share in shares.items() if name.startswith("body"))
    assert body == pytest.approx(3 / (len(shares) + 2))


def test_times_that_tensorrt_does_not_report_are_an_error_and_nothing_is_left(runner, trt, cuda, monkeypatch):
    monkeypatch.setattr(trt.IExecutionContext, "report_to_profiler", lambda self: False)
    with pytest.raises(CudaError, match="reports no times"):
        layer_times(runner, samples())
    assert not cuda.alive()
