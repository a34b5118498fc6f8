from __future__ import annotations

import pytest

from twofour.engines.cuda.api import CudaError
from twofour.engines.cuda.graph import CaptureError, Graph
from twofour.engines.cuda.memory import DeviceBuffer
from twofour.engines.cuda.stream import Stream


@pytest.fixture
def stream(cuda):
    with Stream() as made:
        yield made


def test_recorded_once_and_run_at_every_launch(cuda, stream):
    seen = []
    with Graph.capture(lambda one: cuda.launch(one, lambda: seen.append(1), 1.0), stream) as graph:
        assert seen == []
        for _ in range(3):
            graph.launch(stream)
    stream.synchronize()
    assert seen == [1, 1, 1]
    assert cuda.clock >= 3_000_000
    with pytest.raises(ValueError, match="closed"):
        graph.launch(stream)


def raises(stream):
    raise KeyError("no such tensor")


def waits(cuda, stream):
    cuda.launch(stream)
    stream.synchronize()


def allocates(cuda, stream):
    cuda.launch(stream)
    DeviceBuffer(16)


def spoils(cuda, stream):
    """An error that the work keeps to itself."""
    cuda.launch(stream)
    with pytest.raises(CudaError):
        stream.synchronize()


@pytest.mark.parametrize(("work", "reason"), [
    (lambda cuda, stream: raises(stream), "KeyError: 'no such tensor'"),
    (waits, "cudaStreamSynchronize failed: cudaErrorStreamCaptureUnsupported"),
    (allocates, "cudaMalloc failed: cudaErrorStreamCaptureUnsupported"),
    (spoils, "cudaStreamEndCapture failed: cudaErrorStreamCaptureInvalidated"),
    (lambda cuda, stream: None, "it put nothing on the stream"),
])
def test_what_can_not_be_captured_leaves_the_stream_usable(cuda, stream, work, reason):
    with pytest.raises(CaptureError) as error:
        Graph.capture(lambda one: work(cuda, one), stream)
    assert error.value.reason.startswith(reason)
    assert "Run it without a graph." in str(error.value)
    assert cuda.alive() == {"streams": 1}
    seen = []
    cuda.launch(stream, lambda: seen.append(1))
    stream.synchronize()
    assert seen == [1]
    assert cuda.last_error == cuda.cudaError_t.cudaSuccess


@pytest.mark.parametrize("function", [
    "cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphGetNodes", "cudaGraphInstantiate",
])
def test_refusals_of_cuda(cuda, stream, function):
    cuda.fail(function, error="cudaErrorUnknown")
    with pytest.raises(CaptureError, match=function):
        Graph.capture(cuda.launch, stream)
    assert cuda.alive() == {"streams": 1}


def test_the_default_stream_can_not_be_captured(cuda):
    with pytest.raises(CaptureError, match="cudaErrorStreamCaptureUnsupported"):
        Graph.capture(cuda.launch, Stream.borrowed(0))


def test_ctrl_c_ends_the_capture_and_passes(cuda, stream):
    def interrupted(one):
        cuda.launch(one)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Graph.capture(interrupted, stream)
    assert cuda.alive() == {"streams": 1}
