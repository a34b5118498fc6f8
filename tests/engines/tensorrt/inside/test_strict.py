"""The double can fail: each misuse of TensorRT's interface is caught on the release that lacks the name."""

import inspect

import numpy as np
import pytest
import tensorrt as real
from doubles import callbacks, checked, kinds, signatures
from doubles.checked import Checked, Meta, NotDoubled

ELEVEN = int(real.__version__.split(".")[0]) >= 11


def gone(*paths):
    """Names that 11 dropped: there on 10, an AttributeError on 11."""
    return [pytest.param(path, id=path) for path in paths]


def reach(trt, objects, path):
    first, *rest = path.split(".")
    found = objects[first] if first in objects else getattr(trt, first)
    for name in rest:
        found = getattr(found, name)
    return found


@pytest.fixture
def objects(trt):
    """One of each, by the name of its role."""

    class Logger(trt.ILogger):
        def __init__(self):
            super().__init__()

        def log(self, severity, msg):
            pass

    logger = Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    return {"logger": logger, "builder": builder, "network": network, "config": builder.create_builder_config(),
            "parser": trt.OnnxParser(network, logger), "runtime": trt.Runtime(logger),
            "profile": builder.create_optimization_profile()}


@pytest.fixture
def context(trt, objects, conv_model):
    assert objects["parser"].parse(conv_model.SerializeToString())
    objects["profile"].set_shape("x", (1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))
    objects["config"].add_optimization_profile(objects["profile"])
    plan = objects["builder"].build_serialized_network(objects["network"], objects["config"])
    return objects["runtime"].deserialize_cuda_engine(plan).create_execution_context()


@pytest.mark.parametrize("path", gone(
    "BuilderFlag.FP16", "BuilderFlag.BF16", "BuilderFlag.INT8", "BuilderFlag.OBEY_PRECISION_CONSTRAINTS",
    "BuilderFlag.WEIGHTLESS", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "TacticSource.CUDNN",
    "TacticSource.CUBLAS", "QuantizationFlag", "IInt8EntropyCalibrator2", "IAlgorithmSelector",
    "builder.platform_has_fast_int8",
    "Builder.platform_has_fast_fp16", "IBuilderConfig.int8_calibrator", "IBuilderConfig.set_calibration_profile",
    "ILayer.precision", "ILayer.set_output_type", "ITensor.dynamic_range", "ITensor.set_dynamic_range",
    "OnnxParser.supports_model", "ICudaEngine.device_memory_size", "ICudaEngine.weight_streaming_budget",
    "ICudaEngine.create_execution_context_without_device_memory", "ICudaEngine.has_implicit_batch_dimension",
))
def test_names_that_11_dropped(trt, objects, path):
    if ELEVEN:
        with pytest.raises(AttributeError):
            reach(trt, objects, path)
    else:
        reach(trt, objects, path)


def test_removed_names_of_objects(trt, objects, conv_model):
    assert objects["parser"].parse(conv_model.SerializeToString())
    layer = objects["network"].get_layer(0)
    kind = AttributeError if ELEVEN else NotDoubled
    with pytest.raises(kind):
        _ = layer.precision
    with pytest.raises(kind):
        _ = objects["config"].int8_calibrator
    with pytest.raises(kind):
        objects["network"].get_input(0).set_dynamic_range(-1.0, 1.0)


def test_setting_what_11_dropped(objects):
    if ELEVEN:
        with pytest.raises(AttributeError):
            objects["config"].int8_calibrator = None


def test_types_of_tensors_are_read_only_on_11(trt, objects, conv_model):
    assert objects["parser"].parse(conv_model.SerializeToString())
    with pytest.raises(AttributeError if ELEVEN else NotDoubled):
        objects["network"].get_input(0).dtype = trt.DataType.HALF


@pytest.mark.parametrize("path", [
    "config.max_workspace_size", "builder.build_cuda_engine", "builder.max_batch_size", "BuilderFlag.STRICT_TYPES",
    "BuilderFlag.SPARSITY", "Sparsity", "runtime.deserialize", "config.nothing", "ICudaEngine.get_binding_name",
    "ICudaEngine.num_bindings", "IExecutionContext.execute_async_v2", "IExecutionContext.execute_async",
    "IExecutionContext.set_binding_shape", "parser.parse_file", "double.nothing",
])
def test_names_that_are_of_older_releases_or_never_were(trt, objects, path):
    with pytest.raises(AttributeError):
        reach(trt, objects, path)


MISUSES = {
    "too few": lambda t, o, c: o["builder"].build_serialized_network(o["network"]),
    "too many": lambda t, o, c: o["builder"].create_network(0, 1),
    "wrong keyword": lambda t, o, c: o["builder"].build_serialized_network(net=o["network"], config=o["config"]),
    "keyword of an unnamed argument": lambda t, o, c: setattr(o["config"], "DLA_core", "0"),
    "twice": lambda t, o, c: o["config"].set_flag(t.BuilderFlag.TF32, flag=t.BuilderFlag.TF32),
    "swapped": lambda t, o, c: o["builder"].build_serialized_network(o["config"], o["network"]),
    "flag as a number": lambda t, o, c: o["config"].set_flag(3),
    "flag of another enum": lambda t, o, c: o["config"].set_flag(t.OnnxParserFlag.NATIVE_INSTANCENORM),
    "pool by name": lambda t, o, c: o["config"].set_memory_pool_limit("WORKSPACE", 1),
    "float for an int": lambda t, o, c: o["config"].set_memory_pool_limit(t.MemoryPoolType.WORKSPACE, 1e9),
    "level as text": lambda t, o, c: setattr(o["config"], "builder_optimization_level", "3"),
    "cache without ignore_mismatch": lambda t, o, c: o["config"].set_timing_cache(o["config"].create_timing_cache(b"")),
    "cache of text": lambda t, o, c: o["config"].create_timing_cache("text"),
    "model as text": lambda t, o, c: o["parser"].parse("model.onnx"),
    "path object": lambda t, o, c: o["parser"].parse(b"", __import__("pathlib").Path("x")),
    "shape of floats": lambda t, o, c: o["profile"].set_shape("x", (1.0,), (1.0,), (1.0,)),
    "shape by keyword": lambda t, o, c: o["profile"].set_shape(name="x", min=(1,), opt=(1,), max=(1,)),
    "no stream": lambda t, o, c: c.execute_async_v3(),
    "no stream but None": lambda t, o, c: c.execute_async_v3(None),
    "wrong keyword of a stream": lambda t, o, c: c.execute_async_v3(stream=0),
    "input shape without shape": lambda t, o, c: c.set_input_shape("x"),
    "address as text": lambda t, o, c: c.set_tensor_address("x", "0x0"),
    "address as an array": lambda t, o, c: c.set_tensor_address("x", np.zeros(3)),
    "index for a name": lambda t, o, c: c.engine.get_tensor_mode(0),
    "profile shapes without profile": lambda t, o, c: c.engine.get_tensor_profile_shape("x"),
    "profiler that is none": lambda t, o, c: setattr(c, "profiler", object()),
    "listener that is none": lambda t, o, c: c.set_debug_listener(object()),
    "logger that is none": lambda t, o, c: t.Builder(object()),
    "runtime without logger": lambda t, o, c: t.Runtime(),
    "parser without logger": lambda t, o, c: t.OnnxParser(o["network"]),
    "construct an engine": lambda t, o, c: t.ICudaEngine(),
    "construct a config": lambda t, o, c: t.IBuilderConfig(),
    "length of a plan": lambda t, o, c: len(c.engine.serialize()),
    "slice of a plan": lambda t, o, c: c.engine.serialize()[:4],
    "length of an engine": lambda t, o, c: len(c.engine),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_calls_that_no_overload_takes(trt, objects, context, misuse):
    with pytest.raises(TypeError):
        misuse(trt, objects, context)


@pytest.mark.parametrize(("role", "name"), [
    ("engine", "name"), ("engine", "num_io_tensors"), ("builder", "num_DLA_cores"),
    ("config", "num_optimization_profiles"),
    ("config", "SPARSE"), ("parser", "num_errors"), ("network", "num_layers"), ("context", "made_up"),
    ("runtime", "workspace"),
])
def test_setting_what_can_not_be_set(objects, context, role, name):
    found = {**objects, "context": context, "engine": context.engine}[role]
    with pytest.raises(AttributeError):
        setattr(found, name, 1)


def test_network_flags_unknown_to_the_release(trt, objects):
    with pytest.raises(ValueError, match="bits"):
        objects["builder"].create_network(1 << 20)


def test_what_is_not_doubled_is_said(objects):
    with pytest.raises(NotDoubled):
        objects["config"].can_run_on_DLA(None)
    assert hasattr(real.IBuilderConfig, "can_run_on_DLA")


def test_a_monitor_that_lacks_a_method(trt, objects):
    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            super().__init__()

        def phase_start(self, phase_name, parent_phase, num_steps):
            pass

        def step_complete(self, phase_name, step):
            return True

    with pytest.raises(TypeError, match="phase_finish"):
        objects["config"].progress_monitor = Monitor()


def test_a_monitor_that_takes_too_few_arguments(trt, objects):
    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            super().__init__()

        def phase_start(self, phase_name, num_steps):
            pass

        def step_complete(self, phase_name, step):
            return True

        def phase_finish(self, phase_name):
            pass

    with pytest.raises(TypeError, match="called with 3 arguments"):
        objects["config"].progress_monitor = Monitor()


def test_a_logger_that_forgets_its_base(trt):
    class Logger(trt.ILogger):
        def __init__(self):
            pass

        def log(self, severity, msg):
            pass

    with pytest.raises(TypeError, match="__init__"):
        Logger()


# the double itself against the real classes


def doubles():
    return [(name, Meta._doubles[name]) for name in sorted(Meta._doubles)]


def own(double):
    return [name for name in type.__getattribute__(double, "__dict__") if not name.startswith("_")]


def test_the_doubles_have_no_name_that_the_real_classes_lack(trt):
    for name, double in doubles():
        assert [one for one in own(double) if not hasattr(getattr(real, name), one)] == []
        assert dir(getattr(trt, name)) is not None


def test_properties_are_properties_and_methods_are_methods():
    for name, double in doubles():
        for one in own(double):
            ours, theirs = type.__getattribute__(double, "__dict__")[one], getattr(getattr(real, name), one)
            assert isinstance(ours, property) == isinstance(theirs, property), f"{name}.{one}"
            if isinstance(ours, property) and ours.fset:
                assert theirs.fset or ELEVEN, f"{name}.{one}"


def test_the_doubles_methods_take_what_the_real_ones_take():
    """At least one overload, whole and with its defaults left out."""
    for name, double in doubles():
        for one in own(double):
            theirs = getattr(getattr(real, name), one)
            if isinstance(theirs, property):
                continue
            known = signatures.overloads(theirs.__doc__, one)
            assert known, f"{name}.{one} has no signature"
            signature = inspect.signature(type.__getattribute__(double, "__dict__")[one])
            counts = {len([p for p in each.parameters if p.default is None]) for each in known}
            assert any(fits(signature, count) for count in counts), f"{name}.{one}: {signature} for {counts}"


def fits(signature, count):
    try:
        signature.bind(*range(count + 1))
    except TypeError:
        return False
    return True


def test_every_signature_of_the_real_classes_is_understood():
    """No type in any docstring of a doubled class is unknown to `kinds.fits`."""
    unknown = set()
    for name, _ in doubles():
        base = getattr(real, name)
        for one in dir(base):
            member = getattr(base, one)
            doc, key = (member.fset.__doc__ if member.fset else "", "") if isinstance(member, property) else (
                member.__doc__, one)
            for each in signatures.overloads(doc, key):
                unknown |= {p.type for p in each.parameters if not understood(p.type)}
    assert unknown == set()


def understood(kind):
    try:
        kinds.fits(object(), kind, checked.lookup)
    except LookupError:
        return False
    return True


def test_callbacks_are_called_as_the_real_ones_are_documented():
    for interface, methods in callbacks.METHODS.items():
        base = getattr(real, interface)
        for name, count in methods.items():
            member = getattr(base, name, None)
            if interface == "IOutputAllocator":
                assert name in base.__doc__
                continue
            assert [len(each.parameters) for each in signatures.overloads(member.__doc__, name)] == [count]


def test_callbacks_swallow_as_the_real_bindings_do(trt, torn, capfd):
    """The real class calls the override through C++; what it raises must be treated alike by the double."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self, answer):
            super().__init__()
            self.answer, self.seen = answer, []

        def phase_start(self, *given):
            self.seen.append(given)

        def phase_finish(self, *given):
            self.seen.append(given)

        def step_complete(self, *given):
            self.seen.append(given)
            if isinstance(self.answer, type):
                raise self.answer
            return self.answer

    for answer in (True, False, None, KeyboardInterrupt, ValueError):
        ours, theirs = Monitor(answer), Monitor(answer)
        real.IProgressMonitor.phase_start(theirs, "a", None, 3)
        callbacks.call(ours, "phase_start", "a", None, 3)
        expected = real.IProgressMonitor.step_complete(theirs, "a", 1)
        assert callbacks.truth(callbacks.call(ours, "step_complete", "a", 1), "step_complete") == expected
        assert ours.seen == theirs.seen
    assert "[ERROR] Exception caught in step_complete()" in capfd.readouterr().err


def test_signatures_with_defaults_and_brackets():
    doc = "f(*args, **kwargs)\nOverloaded function.\n\n1. f(self: a.B, x: dict[str, list[int]] = {}, " \
          "y: a.E = <E.Z: 0>) -> tuple[int, bool]\n\n2. f(self: a.B) -> None\n"
    first, second = signatures.overloads(doc, "f")
    assert [(p.name, p.type, p.default) for p in first.parameters] == [
        ("x", "dict[str, list[int]]", "{}"), ("y", "a.E", "<E.Z: 0>")]
    assert second.parameters == ()


def test_arguments_are_bound_as_pybind_binds_them():
    (call,) = signatures.overloads("f(self: a.B, x: int, y: int = 0, arg2: int = 1) -> None", "f")
    assert signatures.bind(call, (1,), {"y": 2}) == {"x": 1, "y": 2}
    assert signatures.bind(call, (), {"y": 2}) == "lacks x"
    assert "twice" in signatures.bind(call, (1,), {"x": 1})
    assert "no keyword" in signatures.bind(call, (1,), {"z": 1})
    assert "no keyword" in signatures.bind(call, (1,), {"arg2": 1})
    assert "takes 3" in signatures.bind(call, (1, 2, 3, 4), {})


def test_ints_are_ints():
    for good in (1, np.int64(1), True, real.BuilderFlag.TF32):
        assert kinds.fits(good, "typing.SupportsInt", checked.lookup)
    for bad in (1.0, np.float32(1), "1", None, np.zeros(3)):
        assert not kinds.fits(bad, "int", checked.lookup)


def test_checked_is_the_base_of_all():
    assert all(issubclass(double, Checked) for _, double in doubles())
