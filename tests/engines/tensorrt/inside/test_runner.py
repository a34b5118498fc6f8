"""The runner on the doubles: every release's own classes check its calls, simulated CUDA checks its memory."""

import gc
import threading

import numpy as np
import onnx
import pytest

from twofour.common.errors import UserError
from twofour.engines.cuda.api import CudaError, OutOfMemoryError
from twofour.engines.cuda.memory import DeviceBuffer, upload
from twofour.engines.cuda.stream import Stream
from twofour.engines.tensorrt import graphs, lane
from twofour.engines.tensorrt.context import Context, failure
from twofour.engines.tensorrt.logger import Log, logger
from twofour.engines.tensorrt.runner import TensorRTRunner


class OnDevice:
    """What torch, CuPy and the like give: an array on the device."""

    def __init__(self, array, stream=None):
        self.array = np.ascontiguousarray(array)
        self.buffer = DeviceBuffer(self.array.nbytes)
        with Stream() as one:
            upload(self.buffer.address, self.array, one)
            one.synchronize()
        self.facts = {"shape": array.shape, "typestr": array.dtype.str, "data": (self.buffer.address, False),
                      "strides": None, "version": 3, "stream": stream}

    @property
    def __cuda_array_interface__(self):
        return self.facts

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.buffer.close()


def model(dtype=onnx.TensorProto.FLOAT, shape=("batch", 4), weight=2):
    """y = weight * x + 1, and z = x + x."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Mul", ["x", "w"], ["scaled"], name="mul"),
             onnx.helper.make_node("Add", ["scaled", "one"], ["y"], name="add"),
             onnx.helper.make_node("Add", ["x", "x"], ["z"], name="double")]
    stored = [onnx.numpy_helper.from_array(np.array(n, kind), name) for name, n in (("w", weight), ("one", 1))]
    graph = onnx.helper.make_graph(nodes, "net", [value("x", dtype, shape)],
                                   [value("y", dtype, shape), value("z", dtype, shape)], stored)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    made.ir_version = 10
    return made


@pytest.fixture
def log():
    return Log(loud=False)


@pytest.fixture
def engine(gpu, trt, log):
    """Builds an engine of a model and loads it."""

    def load(network=None, *profiles):
        writer = logger(log)
        builder = trt.Builder(writer)
        parsed = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(parsed, writer)
        assert parser.parse((network or model()).SerializeToString())
        config = builder.create_builder_config()
        for ranges in profiles or (((1, 4), (8, 4), (64, 4)),):
            profile = builder.create_optimization_profile()
            if ranges:
                profile.set_shape("x", *ranges)
            config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(parsed, config)
        return trt.Runtime(writer).deserialize_cuda_engine(bytes(plan))

    return load


@pytest.fixture
def runner(engine, log):
    made = TensorRTRunner(engine(), log=log, where="engine.plan")
    yield made
    made.close()


def batch(count=3):
    return np.arange(count * 4, dtype=np.float32).reshape(count, 4)


def test_numpy_in_numpy_out_and_every_batch_of_the_profile(runner, trt):
    assert (runner.batches, runner.max_batch) == ((1, 8, 64), 64)
    kept = []
    for count in (3, 1, 64, 2):
        x = batch(count) + count
        answer = runner.infer({"x": x})
        assert list(answer) == ["y", "z"]
        kept.append((answer, x))
    for answer, x in kept:  # they are copies: a later call leaves them alone
        np.testing.assert_array_equal(answer["y"], 2 * x + 1)
        np.testing.assert_array_equal(answer["z"], 2 * x)
    assert trt.double.contexts == 1


def test_arrays_of_the_host_need_not_be_contiguous_but_of_the_very_dtype(runner):
    wide = np.zeros((3, 8), np.float32)
    wide[:, ::2] = batch()
    np.testing.assert_array_equal(runner.infer({"x": wide[:, ::2]})["y"], 2 * batch() + 1)
    with pytest.raises(UserError, match=r"engine.plan: The input 'x' has the dtype float64; the engine takes float32.*"
                                        r"astype\('float32'\)"):
        runner.infer({"x": batch().astype(np.float64)})
    with pytest.raises(UserError, match="dtype >f4; the engine takes float32"):
        runner.infer({"x": batch().astype(">f4")})


@pytest.mark.parametrize(("inputs", "said"), [
    ({}, "misses the input 'x'.*The engine takes: x"),
    ({"x": batch(), "mask": batch()}, "holds the unknown input 'mask'"),
    ({"X": batch()}, "misses the input 'x' and holds the unknown input 'X'"),
    ({"x": batch(65)}, "batch of 65; the engine takes 1 to 64.*--max-batch 65"),
    ({"x": batch(0)}, "batch of 0; the engine takes 1 to 64"),
    ({"x": np.zeros((3, 5), np.float32)}, r"shape \(3, 5\); the engine takes \(1..64, 4\).*fixed in the ONNX file"),
    ({"x": np.zeros(4, np.float32)}, r"shape \(4,\); the engine takes \(1..64, 4\)"),
    ({"x": [[0.0] * 4]}, "no array but of the type list"),
])
def test_inputs_that_do_not_fit_are_refused_before_anything_is_allocated(runner, cuda, inputs, said):
    with pytest.raises(UserError, match=said):
        runner.infer(inputs)
    assert not cuda.alive()


def test_other_dynamic_dimensions_say_how_to_widen_them(engine):
    made = TensorRTRunner(engine(model(shape=("batch", "size")), ((1, 2), (4, 4), (8, 16))))
    with made, pytest.raises(UserError, match=r"takes \(1..8, 2..16\).*--shape x=MIN:OPT:MAX"):
        made.infer({"x": np.zeros((2, 17), np.float32)})


def test_nan_is_refused_only_where_it_was_asked_for(engine, runner):
    bad = batch()
    bad[2, 1] = np.nan
    assert np.isnan(runner.infer({"x": bad})["y"]).sum() == 1
    with TensorRTRunner(engine(), check=True) as careful:
        with pytest.raises(UserError, match="The input 'x' holds NaN in sample 2"):
            careful.infer({"x": bad})
        bad[2, 1] = np.inf
        assert np.isinf(careful.infer({"x": bad})["y"]).sum() == 1


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16", "INT32", "INT64"])
def test_other_dtypes_of_inputs_and_outputs(engine, kind):
    made = model(getattr(onnx.TensorProto, kind))
    dtype = onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, kind))
    with TensorRTRunner(engine(made)) as runner:
        answer = runner.infer({"x": batch().astype(dtype)})["y"]
        assert answer.dtype == dtype
        np.testing.assert_array_equal(answer.astype(np.float32), 2 * batch() + 1)
        with pytest.raises(UserError, match=f"the engine takes {dtype}"):
            runner.infer({"x": batch()})


def test_bfloat16_from_the_device_comes_as_two_bytes_without_a_name(engine):
    dtype = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16)
    made = engine(model(onnx.TensorProto.BFLOAT16))
    with TensorRTRunner(made) as runner, OnDevice(batch().astype(dtype)) as x:
        x.facts["typestr"] = "<V2"
        np.testing.assert_array_equal(runner.infer({"x": x})["y"].numpy().astype(np.float32), 2 * batch() + 1)


def test_arrays_on_the_device_are_read_where_they_lie_and_outputs_stay_there(runner, cuda):
    with OnDevice(batch()) as x:
        copies = cuda.counts["cudaMemcpyAsync"]
        answer = runner.infer({"x": x})
        assert cuda.counts["cudaMemcpyAsync"] == copies
        facts = answer["y"].__cuda_array_interface__
        assert (facts["shape"], facts["typestr"], facts["version"]) == ((3, 4), "<f4", 3)
        assert "stream" not in facts  # it is complete
        np.testing.assert_array_equal(answer["y"].numpy(), 2 * batch() + 1)
        np.testing.assert_array_equal(answer["z"].numpy(), 2 * batch())
        assert repr(answer["y"]) == "DeviceOutput(shape=(3, 4), dtype=float32)"
        assert runner.infer({"x": x})["y"].address == answer["y"].address  # good until the next call, as documented


def test_an_output_can_be_the_next_engines_input(runner, engine):
    with TensorRTRunner(engine()) as second, OnDevice(batch()) as x:
        chained = second.infer({"x": runner.infer({"x": x})["y"]})
        np.testing.assert_array_equal(chained["y"].numpy(), 2 * (2 * batch() + 1) + 1)


def test_an_array_on_the_device_that_is_not_contiguous_is_refused_by_name(runner):
    with OnDevice(batch()) as x:
        x.facts["strides"] = (4, 12)
        with pytest.raises(UserError, match=r"input 'x': .*not C-contiguous"):
            runner.infer({"x": x})


class Torch:
    def __init__(self, handle):
        self.cuda_stream = handle


class CuPy:
    def __init__(self, handle):
        self.ptr = handle


class Core:
    def __init__(self, handle):
        self._handle = handle

    def __cuda_stream__(self):
        return 0, self._handle


@pytest.mark.parametrize("wrap", [int, Torch, CuPy, Core, Stream.borrowed])
def test_work_goes_on_the_callers_stream_and_is_not_waited_for(runner, cuda, wrap):
    cuda.lazy = True
    with Stream() as theirs, OnDevice(batch()) as x:
        answer = runner.infer({"x": x}, stream=wrap(theirs.handle))
        assert answer["y"].__cuda_array_interface__["stream"] == theirs.handle
        there = cuda.bytes_at(answer["y"].address, 48)
        assert (there != (2 * batch() + 1).view(np.uint8).ravel()).any()
        theirs.synchronize()
        np.testing.assert_array_equal(there.view(np.float32).reshape(3, 4), 2 * batch() + 1)


def test_what_is_no_stream_is_refused(runner):
    for wrong in ("cuda:0", True, object(), 1.5):
        with pytest.raises(UserError, match="no CUDA stream"):
            runner.infer({"x": batch()}, stream=wrong)


def test_numpy_on_the_callers_stream_is_complete_at_return(runner, cuda):
    cuda.lazy = True
    with Stream() as theirs:
        np.testing.assert_array_equal(runner.infer({"x": batch()}, theirs)["y"], 2 * batch() + 1)


def test_inputs_are_waited_for_on_the_stream_that_makes_them(runner, cuda):
    cuda.lazy = True
    with Stream() as producer, OnDevice(np.zeros((3, 4), np.float32), producer.handle) as x:
        late = cuda.bytes_at(x.buffer.address, 48)
        cuda.launch(producer.handle, lambda: late.__setitem__(slice(None), batch().view(np.uint8).ravel()), 1.0)
        np.testing.assert_array_equal(runner.infer({"x": x})["y"].numpy(), 2 * batch() + 1)


def test_inputs_that_name_no_stream_are_taken_to_come_from_the_default_one(runner, cuda):
    cuda.lazy = True
    with OnDevice(np.zeros((3, 4), np.float32)) as x:
        late = cuda.bytes_at(x.buffer.address, 48)
        cuda.launch(1, lambda: late.__setitem__(slice(None), batch().view(np.uint8).ravel()), 1.0)
        np.testing.assert_array_equal(runner.infer({"x": x})["y"].numpy(), 2 * batch() + 1)


def test_a_call_on_another_stream_waits_for_the_one_before(runner, cuda):
    cuda.lazy = True
    with Stream() as one, Stream() as other, OnDevice(batch()) as x, OnDevice(-batch()) as minus:
        runner.infer({"x": x}, one)
        second = runner.infer({"x": minus}, other)
        other.synchronize()
        one.synchronize()  # had the second not waited, the first would now overwrite its answer
        np.testing.assert_array_equal(second["y"].numpy(), 1 - 2 * batch())


def test_the_owner_of_an_input_changes_it_only_after_it_was_read(runner, cuda):
    cuda.lazy = True
    with Stream() as owner, Stream() as theirs, OnDevice(batch(), owner.handle) as x:
        answer = runner.infer({"x": x}, theirs)
        there = cuda.bytes_at(x.buffer.address, 48)
        cuda.launch(owner.handle, lambda: there.__setitem__(slice(None), 0), 1.0)
        owner.synchronize()  # had the owner's stream not been told to wait, zeros would now be read
        np.testing.assert_array_equal(answer["y"].numpy(), 2 * batch() + 1)


def test_each_thread_works_on_the_gpu_of_the_engine(engine, cuda):
    with TensorRTRunner(engine()) as runner:
        before = cuda.counts["cudaSetDevice"]
        thread = threading.Thread(target=runner.infer, args=({"x": batch()},))
        thread.start()
        thread.join()
        assert cuda.counts["cudaSetDevice"] == before + 1


def test_the_batch_is_that_of_the_first_input_that_has_one(engine):
    value = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Mul", ["scale", "x"], ["y"])], "net",
        [value("scale", kind, []), value("x", kind, ["n", 4])], [value("y", kind, ["n", 4])])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    made.ir_version = 10
    with TensorRTRunner(engine(made)) as runner:
        assert runner.batches == (1, 8, 64)
        answer = runner.infer({"scale": np.float32(3), "x": batch()})
        np.testing.assert_array_equal(answer["y"], 3 * batch())


def test_mixed_inputs_give_numpy(engine):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["a", "b"], ["y"])], "net",
        [value(name, onnx.TensorProto.FLOAT, [3, 4]) for name in "ab"], [value("y", onnx.TensorProto.FLOAT, [3, 4])])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    made.ir_version = 10
    with TensorRTRunner(engine(made, ())) as runner, OnDevice(batch()) as a:
        assert (runner.batches, runner.max_batch) == (None, 3)
        np.testing.assert_array_equal(runner.infer({"a": a, "b": batch()})["y"], 2 * batch())


def test_two_threads_at_once_each_with_a_context_of_its_own(runner, trt):
    start, wrong, kept = threading.Barrier(4), [], []

    def work(number):
        start.wait()
        for count in range(1, 12):
            x = batch(count) + number
            answer = runner.infer({"x": x})
            if not np.array_equal(answer["y"], 2 * x + 1):
                wrong.append((number, count))
        kept.append(trt.double.contexts)
        start.wait()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert max(kept) == 4
    runner.infer({"x": batch()})  # those of threads that ended are given back
    gc.collect()
    assert trt.double.contexts == 1


def test_a_cuda_graph_is_used_once_shapes_and_addresses_come_again(engine, trt, cuda):
    with TensorRTRunner(engine(), cuda_graph=True) as runner:
        for count in (3, 5):
            for number in range(4):
                np.testing.assert_array_equal(runner.infer({"x": batch(count) + number})["y"],
                                              2 * (batch(count) + number) + 1)
        # with 5 the buffers grow: what was captured before is not launched again
        assert cuda.counts["cudaGraphLaunch"] == 4
        assert runner.graph_fallback is None
        np.testing.assert_array_equal(runner.infer({"x": batch(3) - 7})["y"], 2 * (batch(3) - 7) + 1)


def test_graphs_of_shapes_that_take_turns_are_kept_but_only_a_few(engine, cuda, trt):
    with TensorRTRunner(engine(), cuda_graph=True) as runner:
        runner.infer({"x": batch(64)})  # the memory has its size
        sizes = range(1, graphs.KEPT + 3)
        for count in sizes:
            for _ in range(2):
                runner.infer({"x": batch(count)})
        gc.collect()
        assert trt.double.contexts == 1 + graphs.KEPT
        before = cuda.counts["cudaGraphLaunch"]
        for count in list(sizes)[-graphs.KEPT:]:
            np.testing.assert_array_equal(runner.infer({"x": batch(count) * 3})["y"], 6 * batch(count) + 1)
        assert cuda.counts["cudaGraphLaunch"] == before + graphs.KEPT


def test_the_graph_that_was_used_longest_ago_goes_first(engine, cuda):
    with TensorRTRunner(engine(), cuda_graph=True) as runner:
        runner.infer({"x": batch(64)})
        for count in range(1, graphs.KEPT + 1):
            for _ in range(2):
                runner.infer({"x": batch(count)})
        runner.infer({"x": batch(1)})  # used again
        for _ in range(2):
            runner.infer({"x": batch(graphs.KEPT + 1)})
        before = cuda.counts["cudaGraphLaunch"]
        runner.infer({"x": batch(1)})
        assert cuda.counts["cudaGraphLaunch"] == before + 1
        runner.infer({"x": batch(2)})
        assert cuda.counts["cudaGraphLaunch"] == before + 1


def test_addresses_that_never_come_again_are_never_captured(engine, cuda):
    with TensorRTRunner(engine(), cuda_graph=True) as runner, OnDevice(batch()) as a, OnDevice(batch()) as b:
        for x in (a, b, a, b):
            runner.infer({"x": x})
        assert cuda.counts["cudaStreamBeginCapture"] == 0


def test_a_graph_runs_on_the_default_stream_too(engine, cuda):
    with TensorRTRunner(engine(), cuda_graph=True) as runner, OnDevice(batch()) as x:
        for _ in range(3):
            answer = runner.infer({"x": x}, stream=0)
        assert answer["y"].__cuda_array_interface__["stream"] == 1  # 0 is forbidden there
        assert cuda.counts["cudaGraphLaunch"] == 1
        np.testing.assert_array_equal(answer["y"].numpy(), 2 * batch() + 1)


def test_where_no_graph_can_be_captured_it_is_said_and_the_engine_runs_all_the_same(engine, cuda, trt):
    cuda.fail("cudaStreamEndCapture", error="cudaErrorStreamCaptureUnsupported")
    with TensorRTRunner(engine(), cuda_graph=True) as runner:
        for _ in range(4):
            np.testing.assert_array_equal(runner.infer({"x": batch()})["y"], 2 * batch() + 1)
        assert "cudaErrorStreamCaptureUnsupported" in runner.graph_fallback
        gc.collect()
        assert trt.double.contexts == 1
        assert cuda.counts["cudaGraphLaunch"] == 0


def test_a_profile_other_than_the_first(engine):
    made = engine(None, ((1, 4), (2, 4), (4, 4)), ((8, 4), (8, 4), (16, 4)))
    with TensorRTRunner(made, profile_index=1) as runner:
        assert runner.batches == (8, 8, 16)
        np.testing.assert_array_equal(runner.infer({"x": batch(9)})["y"], 2 * batch(9) + 1)
    with pytest.raises(UserError, match="no optimization profile 2; it has 2"):
        TensorRTRunner(made, profile_index=2)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("function", [
    "cudaSetDevice", "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaMalloc", "cudaHostAlloc",
    "cudaMemcpyAsync", "cudaStreamSynchronize", "cudaGraphInstantiate", "cudaStreamBeginCapture", "cudaGraphLaunch"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_whatever_fails_all_is_given_back(engine, cuda, function, at, graph):
    """The fixture `cuda` looks for what is left; what fails once, works the next time."""
    runner = TensorRTRunner(engine(), cuda_graph=graph)
    try:
        cuda.fail(function, at=at)
        for _ in range(5):
            try:
                np.testing.assert_array_equal(runner.infer({"x": batch()})["y"], 2 * batch() + 1)
            except CudaError:
                continue
        np.testing.assert_array_equal(runner.infer({"x": batch()})["y"], 2 * batch() + 1)
    finally:
        runner.close()


def test_too_little_memory_says_how_much_and_what_to_do(engine, cuda):
    with TensorRTRunner(engine()) as runner:
        runner.infer({"x": batch()})
        cuda.memory_bytes = (1 << 20) + 300
        with pytest.raises(OutOfMemoryError, match=r"1024 bytes\) don't fit .*free.*smaller batch") as found:
            runner.infer({"x": batch(64)})
        assert found.value.exit_code == 4
        assert found.value.asked == 1024
        np.testing.assert_array_equal(runner.infer({"x": batch()})["y"], 2 * batch() + 1)


def test_a_context_that_cannot_be_had_says_what_tensorrt_said(engine, log, trt):
    with TensorRTRunner(engine(), log=log) as runner:
        trt.double.fail_context = True
        with pytest.raises(OutOfMemoryError, match=r"not enough memory.*context.*17179869184 bytes.*MiB are free"):
            runner.infer({"x": batch()})
        trt.double.fail_context = False
        np.testing.assert_array_equal(runner.infer({"x": batch()})["y"], 2 * batch() + 1)


@pytest.mark.parametrize("how", ["false", "raises"])
def test_a_run_that_fails_is_an_error_with_tensorrts_words(runner, trt, how):
    runner.infer({"x": batch()})
    trt.double.fail_execute[trt.double.executions] = how
    with pytest.raises(CudaError, match=r"TensorRT could not run the engine: .*(enqueue|execution)"):
        runner.infer({"x": batch()})
    np.testing.assert_array_equal(runner.infer({"x": batch()})["y"], 2 * batch() + 1)


@pytest.mark.one_release
@pytest.mark.parametrize(("kind", "method", "answer"), [
    ("IExecutionContext", "execute_async_v3", False), ("IExecutionContext", "set_input_shape", False),
    ("ICudaEngine", "create_execution_context", None),
])
def test_an_older_line_of_the_log_is_no_reason(engine, log, trt, monkeypatch, kind, method, answer):
    log.add("ERROR", "Error Code 1: Cuda Runtime (out of memory)")
    with TensorRTRunner(engine(), log=log) as runner:
        monkeypatch.setattr(getattr(trt, kind), method, lambda *_: answer)
        with pytest.raises(CudaError) as caught:
            runner.infer({"x": batch()})
    assert type(caught.value) is CudaError
    assert "memory" not in str(caught.value)


def test_after_an_error_the_callers_stream_holds_nothing_of_ours_any_more(runner, cuda, trt):
    with Stream() as theirs, OnDevice(batch()) as x:
        runner.infer({"x": x}, theirs)
        before = cuda.counts["cudaStreamSynchronize"]
        trt.double.fail_execute[trt.double.executions] = "false"
        with pytest.raises(CudaError):
            runner.infer({"x": x}, theirs)
        assert cuda.counts["cudaStreamSynchronize"] == before + 1


def test_shapes_that_were_only_half_taken_are_set_anew(runner, trt, monkeypatch):
    runner.infer({"x": batch(3)})
    with monkeypatch.context() as patch:
        patch.setattr(trt.IExecutionContext, "infer_shapes", lambda self: ["x"])
        with pytest.raises(CudaError, match="x are not set"):
            runner.infer({"x": batch(5)})
    np.testing.assert_array_equal(runner.infer({"x": batch(3)})["y"], 2 * batch(3) + 1)
    np.testing.assert_array_equal(runner.infer({"x": batch(5)})["y"], 2 * batch(5) + 1)


def test_closing_waits_for_what_runs_on_the_callers_stream(runner, cuda, monkeypatch):
    cuda.lazy, seen = True, []
    close = Context.close

    def watch(self):
        seen.append(cuda.bytes_at(answer["y"].address, 48).view(np.float32).copy())
        close(self)

    monkeypatch.setattr(Context, "close", watch)
    with Stream() as theirs, OnDevice(batch()) as x:
        answer = runner.infer({"x": x}, theirs)
        runner.close()
    np.testing.assert_array_equal(seen[0].reshape(3, 4), 2 * batch() + 1)


def test_a_closed_runner_gives_all_back_at_once(engine, trt, cuda):
    gc.collect()
    before = trt.double.engines, trt.double.contexts
    made = TensorRTRunner(engine(), cuda_graph=True)
    prepared = made.prepare({"x": batch()}, lanes=2)
    for _ in range(3):
        made.infer({"x": batch()})
    made.close()
    made.close()
    assert not cuda.alive()
    with pytest.raises(ValueError, match="closed"):
        made.infer({"x": batch()})
    with pytest.raises(ValueError, match="closed"):
        made.prepare({"x": batch()})
    del prepared
    gc.collect()
    assert (trt.double.engines, trt.double.contexts) == before


def test_the_double_would_see_an_address_out_of_bounds(runner, monkeypatch):
    """That the tests above can fail: buffers one row too small."""
    right = lane.size_of
    monkeypatch.setattr(lane, "size_of", lambda dtype, shape: right(dtype, shape) - 16)
    with pytest.raises(Exception, match=r".+"):
        runner.infer({"x": batch()})


@pytest.mark.one_release
@pytest.mark.parametrize(("logged", "kind"), [
    ("Error Code 1: Cuda Runtime (an illegal memory access was encountered)", CudaError),
    ("Error Code 1: Cuda Runtime (out of memory)", OutOfMemoryError),
    (None, CudaError),
])
def test_a_crashed_kernel_is_not_called_a_lack_of_memory(gpu, logged, kind):
    error = failure("run the engine", lambda: logged)
    assert type(error) is kind
    assert (logged or "could not run the engine") in error.what
