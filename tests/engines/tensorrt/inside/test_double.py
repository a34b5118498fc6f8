"""The double works as TensorRT does, as far as that is known."""

import ctypes
import json
import threading

import numpy as np
import pytest


class Log:
    lines: list


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
