"""The double works as TensorRT does, as far as that is known."""

import ctypes
import json

import ml_dtypes
import numpy as np
import onnx
import pytest
from doubles import compute, graph, plan, wording
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def logger(trt):
    class Logger(trt.ILogger):
        def __init__(self):
            super().__init__()
            self.lines = []

        def log(self, severity, msg):
            self.lines.append((severity.name, msg))

    return Logger()


@pytest.fixture
def build(trt, logger):
    """Builds a model; `change` may touch the config before."""

    def run(model, change=lambda config: None, ranges=((1,), (2,), (4,)), monitor=None, mark=lambda network: None):
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        assert parser.parse(model.SerializeToString()), parser.get_error(0).desc()
        mark(network)
        config = builder.create_builder_config()
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.progress_monitor = monitor
        profile = builder.create_optimization_profile()
        rest = tuple(network.get_input(0).shape)[1:]
        profile.set_shape("x", *(batch + rest for batch in ranges))
        assert config.add_optimization_profile(profile) == 0
        change(config)
        return builder.build_serialized_network(network, config)

    return run


def start(trt, logger, plan):
    return trt.Runtime(logger).deserialize_cuda_engine(bytes(plan))


def run(context, x, size=10):
    out = np.zeros((len(x), size), np.float32)
    assert context.set_input_shape("x", x.shape)
    assert context.set_tensor_address("x", x.ctypes.data)
    assert context.set_tensor_address("logits", out.ctypes.data)
    assert context.execute_async_v3(0)
    return out


def test_an_engine_computes_what_its_onnx_says(trt, logger, build, sparse_network, shared):
    engine = start(trt, logger, build(sparse_network.onnx()))
    x = shared.digits()[0][:4]
    answer = run(engine.create_execution_context(), x)
    expected = sparse_network.pytorch(x)[1]
    assert np.abs(answer - expected).max() < 0.01


def test_shapes_outside_the_profile_are_refused_and_logged(trt, logger, build, sparse_network):
    context = start(trt, logger, build(sparse_network.onnx())).create_execution_context()
    assert context.infer_shapes() == ["x"]
    assert not context.set_input_shape("x", (5, 64))
    assert logger.lines[-1][0] == "ERROR"
    assert context.set_input_shape("x", [3, 64])
    assert tuple(context.get_tensor_shape("logits")) == (3, 10)


def test_execution_needs_shapes_and_addresses(trt, logger, build, sparse_network):
    context = start(trt, logger, build(sparse_network.onnx())).create_execution_context()
    assert context.set_input_shape("x", (1, 64))
    assert not context.execute_async_v3(0)


# builds


def monitor(trt, stop_at=None):
    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            super().__init__()
            self.seen = []

        def phase_start(self, phase_name, parent_phase, num_steps):
            self.seen.append(("start", phase_name, parent_phase, num_steps))

        def step_complete(self, phase_name, step):
            self.seen.append(("step", phase_name, step))
            return len(self.seen) != stop_at

        def phase_finish(self, phase_name):
            self.seen.append(("finish", phase_name))

    return Monitor()


def test_progress_nests_and_ends(trt, build, conv_model):
    watcher = monitor(trt)
    assert build(conv_model, monitor=watcher) is not None
    assert watcher.seen[0][2] is None
    opened = [one[1] for one in watcher.seen if one[0] == "start"]
    assert opened == [one[1] for one in watcher.seen if one[0] == "finish"][::-1]
    inner = [one[2] for one in watcher.seen if one[0] == "step" and one[1] == opened[-1]]
    assert inner == list(range(len(inner)))


@pytest.mark.parametrize("stop_at", [2, 4])
def test_a_build_that_is_canceled_gives_nothing(trt, build, conv_model, stop_at):
    watcher = monitor(trt, stop_at)
    assert build(conv_model, monitor=watcher) is None
    assert [one for one in watcher.seen if one[0] == "finish"]
    assert trt.double.builds == []


def test_the_record_of_a_build(trt, build, conv_model):
    def change(config):
        config.set_flag(trt.BuilderFlag.REFIT)
        config.clear_flag(trt.BuilderFlag.TF32)
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 28)
        config.builder_optimization_level = 4
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS

    build(conv_model, change)
    (record,) = trt.double.builds
    assert record["flags"] == ["REFIT", "SPARSE_WEIGHTS"]
    assert record["network_flags"] == ["STRONGLY_TYPED"]
    assert record["pools"] == {"WORKSPACE": 1 << 28}
    assert (record["level"], record["hardware"], record["verbosity"]) == (4, "AMPERE_PLUS", "DETAILED")
    assert record["profiles"][0]["x"] == ((1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))


@pytest.mark.parametrize(("failure", "word"), [("null", "Could not find any implementation"),
                                               ("out of memory", "OutOfMemory")])
def test_a_build_that_fails(trt, logger, build, conv_model, failure, word):
    trt.double.fail_build = failure
    assert build(conv_model) is None
    assert any(severity == "ERROR" and word in text for severity, text in logger.lines)


def test_tactics_skipped_for_memory_still_give_a_plan(trt, logger, build, conv_model):
    trt.double.fail_build = "skips tactics"
    assert build(conv_model) is not None
    assert any("insufficient memory" in text for _, text in logger.lines)


def test_dynamic_inputs_need_a_profile(trt, logger, conv_model):
    builder = trt.Builder(logger)
    network, config = builder.create_network(0), builder.create_builder_config()
    assert trt.OnnxParser(network, logger).parse(conv_model.SerializeToString())
    assert builder.build_serialized_network(network, config) is None
    assert "no optimization profile" in logger.lines[-1][1]
    with pytest.raises(ValueError, match="inconsistent"):
        builder.create_optimization_profile().set_shape("x", (4, 3, 8, 8), (2, 3, 8, 8), (1, 3, 8, 8))


def test_precision_flags_do_not_go_with_strong_typing(trt, logger, build, conv_model):
    if hasattr(trt.BuilderFlag, "INT8"):
        assert build(conv_model, lambda config: config.set_flag(trt.BuilderFlag.INT8)) is None
        assert "strongly typed" in logger.lines[-1][1]


def test_lines_of_sparsity_are_those_of_the_release(trt, logger, build, conv_model):
    build(conv_model)
    lines = [text for _, text in logger.lines if "(Sparsity)" in text]
    if trt.__version__.startswith("10."):
        assert lines[0].startswith("(Sparsity) Found 3 layer(s) eligible to use sparse tactics: body")
        assert lines[1].startswith("(Sparsity) Chose 1 layer(s) using sparse tactics: body")
    else:
        assert lines == []


def test_a_test_may_give_the_lines(trt, logger, build, conv_model):
    trt.double.log_lines = [("VERBOSE", "something unheard of")]
    build(conv_model)
    assert ("VERBOSE", "something unheard of") in logger.lines


def test_eligible_layers(conv_model):
    layers = {layer.node.name: layer for layer in graph.Graph(conv_model).layers()}
    assert {name for name, layer in layers.items() if wording.eligible(layer)} == {"body", "wide", "head"}
    weighted = {name for name, layer in layers.items() if layer.weight is not None}
    assert {name for name in weighted if layers[name].int8_out} == {"stem", "body", "grouped", "dense"}
    assert all(layers[name].int8 for name in ("stem", "body", "grouped", "dense", "wide", "head"))


# timing caches


def test_a_timing_cache_is_filled_and_read_back(trt, logger, build, conv_model):
    kept = {}

    def change(config):
        kept["config"], kept["cache"] = config, config.create_timing_cache(b"")
        assert config.set_timing_cache(kept["cache"], False)

    build(conv_model, change)
    raw = bytes(kept["config"].get_timing_cache().serialize())
    again = kept["config"].create_timing_cache(raw)
    assert kept["cache"].combine(again, False)
    assert bytes(again.serialize()) == raw
    assert b"body" in raw


@pytest.mark.parametrize("where", ["set", "create"])
def test_a_timing_cache_of_another_release(trt, logger, where):
    config = trt.Builder(logger).create_builder_config()
    mine = config.create_timing_cache(b"")
    raw = bytes(mine.serialize()).replace(trt.__version__.encode(), b"10.1.0.1")
    trt.double.cache_mismatch = where
    theirs = config.create_timing_cache(raw)
    if where == "create":
        assert theirs is None
    else:
        assert not config.set_timing_cache(theirs, False)
        assert not mine.combine(theirs, True)


def test_a_timing_cache_of_garbage(trt, logger):
    assert trt.Builder(logger).create_builder_config().create_timing_cache(b"garbage") is None


# parser


def parse(trt, logger, model, path=None):
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    taken = parser.parse(model if isinstance(model, bytes) else model.SerializeToString(), path)
    return taken, parser, network


def test_errors_of_the_parser_name_the_node(trt, logger, network):
    taken, parser, _ = parse(trt, logger, network.onnx(dtype=np.uint8))
    assert not taken
    assert parser.num_errors == 1
    error = parser.get_error(0)
    assert error.node_name() == "fc1.input_quantizer/QuantizeLinear"
    assert error.node_operator() == "QuantizeLinear"
    assert error.code() == trt.ErrorCode.UNSUPPORTED_NODE_DATATYPE
    assert "UINT8" in error.desc()
    assert logger.lines[-1][0] == "ERROR"
    parser.clear_errors()
    assert parser.num_errors == 0


@pytest.mark.parametrize(("change", "word"), [(0.0, "positive"), (-1.0, "positive")])
def test_scales_must_be_positive(trt, logger, sparse_network, change, word):
    model = sparse_network.onnx()
    scale = next(one for one in model.graph.initializer if one.name == "fc2.input_quantizer/scale")
    scale.CopyFrom(numpy_helper.from_array(np.float32(change), scale.name))
    taken, parser, _ = parse(trt, logger, model)
    assert not taken
    assert word in parser.get_error(0).desc()


def test_what_is_no_onnx(trt, logger):
    taken, parser, _ = parse(trt, logger, b"nonsense")
    assert not taken
    assert parser.get_error(0).code() == trt.ErrorCode.MODEL_DESERIALIZE_FAILED


def test_types_that_do_not_fit_are_refused(trt, logger, sparse_network):
    model = sparse_network.onnx()
    scale = next(one for one in model.graph.initializer if one.name == "fc2.weight_quantizer/scale")
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale).astype(np.float16), scale.name))
    assert not parse(trt, logger, model)[0]


def test_external_data_needs_the_path(trt, logger, tmp_path, sparse_network):
    path = tmp_path / "model.onnx"
    beside = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    onnx.save(sparse_network.onnx(), str(path), **beside)
    assert not parse(trt, logger, path.read_bytes())[0]
    taken, _, parsed = parse(trt, logger, path.read_bytes(), str(path))
    assert taken
    assert [parsed.get_input(at).name for at in range(parsed.num_inputs)] == ["x"]


def test_the_network_mirrors_the_graph(trt, logger, conv_model):
    _, _, network = parse(trt, logger, conv_model)
    tensor = network.get_input(0)
    assert (tensor.name, tensor.dtype, tuple(tensor.shape)) == ("x", trt.float32, (-1, 3, 8, 8))
    names = [network.get_layer(at).name for at in range(network.num_layers)]
    assert {"stem", "body", "head"} <= set(names)
    layer = network[names.index("body")]
    assert layer.type == trt.LayerType.CONVOLUTION
    assert layer.get_output(0).name == "body.out"
    assert layer.get_input(99) is None


# plans


def test_a_plan_is_bytes_by_the_buffer_protocol_only(trt, build, conv_model, tmp_path):
    made = build(conv_model)
    assert made.nbytes == len(bytes(made))
    assert bytes(made).startswith(b"ftrt")
    assert list(bytes(made)[24:27]) == [int(number) for number in trt.__version__.split(".")[:3]]
    with (tmp_path / "plan").open("wb") as file:
        file.write(made)
    assert (tmp_path / "plan").read_bytes() == bytes(made) == memoryview(made).tobytes()


@pytest.mark.parametrize("spoil", [
    lambda raw: b"", lambda raw: raw[:-40], lambda raw: b"x" + raw, lambda raw: b"garbage",
    lambda raw: raw[:60] + b"!" + raw[61:],
])
def test_a_plan_that_is_not_whole(trt, logger, build, conv_model, spoil):
    assert start(trt, logger, spoil(bytes(build(conv_model)))) is None
    assert logger.lines[-1][0] == "ERROR"


def changed(raw, **header):
    known, model = plan.read(raw)
    return plan.write({**known, **header}, model)


def test_a_plan_of_another_release(trt, logger, build, conv_model):
    assert start(trt, logger, changed(build(conv_model), version="10.1.0.1")) is None
    assert f"expecting library version {trt.__version__} got 10.1.0.1" in logger.lines[-1][1]


def test_a_plan_of_another_gpu(trt, logger, build, conv_model):
    raw = bytes(build(conv_model))
    trt.double.compute_capability = (8, 6)
    assert start(trt, logger, raw) is None
    assert "expecting compute 8.6 got compute 8.0" in logger.lines[-1][1]
    assert start(trt, logger, changed(raw, hardware="AMPERE_PLUS")) is not None


def test_version_compatible_plans_need_host_code(trt, logger, build, conv_model):
    raw = build(conv_model, lambda config: config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE))
    older = changed(raw, version=f"{int(trt.__version__.split('.')[0])}.0.0.1")
    runtime = trt.Runtime(logger)
    assert runtime.deserialize_cuda_engine(older) is None
    runtime.engine_host_code_allowed = True
    assert runtime.deserialize_cuda_engine(older) is not None


# engines and contexts


def test_what_an_engine_says_of_itself(trt, logger, build, conv_model):
    engine = start(trt, logger, build(conv_model))
    names = [engine.get_tensor_name(at) for at in range(engine.num_io_tensors)]
    assert names == ["x", "logits"]
    assert [engine.get_tensor_mode(name) for name in names] == [trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT]
    assert engine.get_tensor_dtype("x") == trt.DataType.FLOAT
    assert tuple(engine.get_tensor_shape("x")) == (-1, 3, 8, 8)
    assert [tuple(shape) for shape in engine.get_tensor_profile_shape("x", 0)] == [
        (batch, 3, 8, 8) for batch in (1, 2, 4)]
    assert engine.num_optimization_profiles == 1
    with pytest.raises(AssertionError):
        engine.get_tensor_dtype("nothing")


def test_engines_and_contexts_are_counted(trt, logger, build, conv_model):
    engine = start(trt, logger, build(conv_model))
    context = engine.create_execution_context()
    assert (trt.double.engines, trt.double.contexts) == (1, 1)
    del context, engine
    assert (trt.double.engines, trt.double.contexts) == (0, 0)


def test_no_context_for_want_of_memory(trt, logger, build, conv_model):
    trt.double.fail_context = True
    assert start(trt, logger, build(conv_model)).create_execution_context() is None


def test_executions_that_fail(trt, logger, build, sparse_network, shared):
    context = start(trt, logger, build(sparse_network.onnx())).create_execution_context()
    x = shared.digits()[0][:2]
    run(context, x)
    trt.double.fail_execute = {1: "false", 2: "raises"}
    assert not context.execute_async_v3(0)
    with pytest.raises(RuntimeError):
        context.execute_async_v3(0)
    assert context.execute_async_v3(0)


def test_one_thread_at_a_time(trt, logger, build, sparse_network, shared):
    context = start(trt, logger, build(sparse_network.onnx())).create_execution_context()
    inside = []

    def work(handle, function, milliseconds):
        try:
            context.execute_async_v3(1)
        except AssertionError as error:
            inside.append(str(error))

    trt.double.enqueue = work
    run(context, shared.digits()[0][:1])
    assert inside == ["two threads use one context at once"]


def test_plugins_are_initialized_by_the_real_function(trt, logger):
    assert trt.init_libnvinfer_plugins(logger, "")


def test_layer_times(trt, logger, build, sparse_network, shared):
    class Profiler(trt.IProfiler):
        def __init__(self):
            super().__init__()
            self.times = {}

        def report_layer_time(self, layer_name, ms):
            self.times[layer_name] = ms

    engine = start(trt, logger, build(sparse_network.onnx()))
    context, x = engine.create_execution_context(), shared.digits()[0][:2]
    profiler = context.profiler = Profiler()
    run(context, x)
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    layers = json.loads(text)["Layers"]
    assert list(profiler.times) == [layer["Name"] for layer in layers]
    profiler.times.clear()
    context.enqueue_emits_profile = False
    run(context, x)
    assert profiler.times == {}
    assert context.report_to_profiler()
    assert profiler.times


def listener(trt):
    class Listener(trt.IDebugListener):
        def __init__(self):
            super().__init__()
            self.values = {}

        def process_debug_tensor(self, addr, location, type, shape, name, stream):  # noqa: A002
            kind = np.dtype(trt.nptype(type))
            count = int(np.prod(tuple(shape)))
            raw = ctypes.string_at(addr, count * kind.itemsize)
            self.values[name] = np.frombuffer(raw, kind).reshape(tuple(shape))
            return True

    return Listener()


def test_debug_tensors_that_were_marked(trt, logger, build, sparse_network, shared):
    def mark(network):
        for at in range(network.num_layers):
            tensor = network.get_layer(at).get_output(0)
            if tensor.name in ("fc1.input_quantizer", "fc2.input_quantizer"):
                assert network.mark_debug(tensor)

    context = start(trt, logger, build(sparse_network.onnx(), mark=mark)).create_execution_context()
    watcher, x = listener(trt), shared.digits()[0][:2]
    assert context.set_debug_listener(watcher)
    run(context, x)
    assert watcher.values == {}
    assert context.set_all_tensors_debug_state(True)
    run(context, x)
    expected = sparse_network.pytorch(x)[0]
    assert set(watcher.values) == set(expected)
    assert np.abs(watcher.values["fc1.input_quantizer"] - expected["fc1.input_quantizer"]).max() < 1e-6


def test_debug_tensors_that_fusion_leaves(trt, logger, build, sparse_network, shared):
    raw = build(sparse_network.onnx(), mark=lambda network: network.mark_unfused_tensors_as_debug_tensors())
    context = start(trt, logger, raw).create_execution_context()
    watcher = listener(trt)
    context.set_debug_listener(watcher)
    context.unfused_tensors_debug_state = True
    run(context, shared.digits()[0][:2])
    assert set(watcher.values) == {"fc1.input_quantizer/codes", "fc2.input_quantizer/codes"}


def test_the_inspector(trt, logger, build, conv_model):
    engine = start(trt, logger, build(conv_model))
    inspector, kind = engine.create_engine_inspector(), trt.LayerInformationFormat.JSON
    document = json.loads(inspector.get_engine_information(kind))
    layers = {layer["Name"].split(" ")[0]: layer for layer in document["Layers"]}
    assert "sptensor" in layers["body"]["TacticName"]
    assert "sptensor" not in layers["wide"]["TacticName"] + layers["dense"]["TacticName"]
    assert layers["body"]["Metadata"].split("\x1e")[0] == "[ONNX Layer: body]"
    assert layers["stem"]["Inputs"][0]["Format/Datatype"] == "N/A due to dynamic shapes"
    inspector.execution_context = context = engine.create_execution_context()
    context.set_input_shape("x", (2, 3, 8, 8))
    first = json.loads(inspector.get_layer_information(0, kind))
    assert first["Inputs"][0]["Dimensions"] == [2, 3, 8, 8]


def test_the_inspector_without_details(trt, logger, build, conv_model):
    def change(config):
        config.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY

    inspector = start(trt, logger, build(conv_model, change)).create_engine_inspector()
    layers = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))["Layers"]
    assert all(isinstance(layer, str) for layer in layers)


# types that NumPy or ONNX Runtime lack


@pytest.mark.parametrize(("kind", "numpy"), [
    (TensorProto.FLOAT16, np.float16), (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
])
def test_graphs_of_half_precision(trt, logger, build, kind, numpy):
    weight = np.arange(80, dtype=np.float32).reshape(10, 8) / 80
    ends = [helper.make_tensor_value_info(name, kind, ["batch", size]) for name, size in (("x", 8), ("logits", 10))]
    stored = [numpy_helper.from_array(weight.astype(numpy), "w")]
    node = helper.make_node("Gemm", ["x", "w"], ["logits"], name="fc", transB=1)
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], stored),
                              opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    engine = start(trt, logger, build(model))
    x, out = np.ones((2, 8), numpy), np.zeros((2, 10), numpy)
    context = engine.create_execution_context()
    context.set_input_shape("x", (2, 8))
    context.set_tensor_address("x", x.ctypes.data)
    context.set_tensor_address("logits", out.ctypes.data)
    assert context.execute_async_v3(0)
    assert np.abs(out.astype(np.float32) - weight.sum(1)).max() < 0.1
    assert compute.has_bfloat16(model.SerializeToString()) == (numpy is ml_dtypes.bfloat16)


# on simulated CUDA


def test_executions_go_onto_simulated_streams(trt, gpu, cuda, logger, build, sparse_network, shared):
    from twofour.engines.cuda.graph import Graph
    from twofour.engines.cuda.memory import DeviceBuffer, download, upload
    from twofour.engines.cuda.stream import Stream

    engine = start(trt, logger, build(sparse_network.onnx()))
    x, out = shared.digits()[0][:2], np.zeros((2, 10), np.float32)
    context = engine.create_execution_context()
    with Stream() as stream, DeviceBuffer(x.nbytes) as source, DeviceBuffer(out.nbytes) as target:
        context.set_input_shape("x", x.shape)
        context.set_tensor_address("x", source.address)
        context.set_tensor_address("logits", target.address)
        upload(source.address, x, stream)
        assert context.execute_async_v3(stream.handle)
        graph_ = Graph.capture(lambda on: context.execute_async_v3(on.handle), stream)
        upload(source.address, x[::-1].copy(), stream)
        graph_.launch(stream)
        download(out, target.address, stream)
        stream.synchronize()
        graph_.close()
    assert np.abs(out - sparse_network.pytorch(x[::-1])[1]).max() < 0.01


def test_a_capture_needs_a_run_before_it(trt, gpu, cuda, logger, build, sparse_network):
    from twofour.engines.cuda.graph import CaptureError, Graph
    from twofour.engines.cuda.memory import DeviceBuffer
    from twofour.engines.cuda.stream import Stream

    context = start(trt, logger, build(sparse_network.onnx())).create_execution_context()

    def work(on):
        if not context.execute_async_v3(on.handle):
            raise RuntimeError("refused")

    with Stream() as stream, DeviceBuffer(4096) as memory:
        context.set_input_shape("x", (1, 64))
        context.set_tensor_address("x", memory.address)
        context.set_tensor_address("logits", memory.address + 2048)
        with pytest.raises((CaptureError, RuntimeError)):
            Graph.capture(work, stream)


def test_memory_that_is_too_small_is_noticed(trt, gpu, cuda, logger, build, sparse_network):
    from twofour.engines.cuda.memory import DeviceBuffer
    from twofour.engines.cuda.stream import Stream

    context = start(trt, logger, build(sparse_network.onnx())).create_execution_context()
    with Stream() as stream, DeviceBuffer(256) as source, DeviceBuffer(39) as target:
        context.set_input_shape("x", (1, 64))
        context.set_tensor_address("x", source.address)
        context.set_tensor_address("logits", target.address)
        with pytest.raises(Exception, match="cudaErrorInvalidValue"):
            context.execute_async_v3(stream.handle)
