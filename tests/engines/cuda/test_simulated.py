"""The simulated runtime catches what the real one would refuse, or worse, take."""

from __future__ import annotations

import ctypes

import pytest

from twofour.engines.cuda.memory import DeviceBuffer, PinnedBuffer, download
from twofour.engines.cuda.stream import Event, Stream


def test_a_function_that_the_real_module_lacks(cuda):
    with pytest.raises(AttributeError):
        _ = cuda.cudaFrobnicate


def test_a_function_that_is_not_simulated_yet(cuda):
    with pytest.raises(AttributeError, match="add it"):
        cuda.cudaMallocManaged(16, 1)


def test_arguments_are_those_of_the_real_function(cuda):
    with pytest.raises(TypeError):
        cuda.cudaMalloc()
    with pytest.raises(TypeError):
        cuda.cudaMalloc(16, 0)
    with pytest.raises(AssertionError, match="kind is a int"):
        cuda.cudaMemcpyAsync(0, 0, 16, 1, 0)
    with pytest.raises(AssertionError, match="stream is 'x'"):
        cuda.cudaStreamSynchronize("x")
    with pytest.raises(AssertionError, match="size is -1"):
        cuda.cudaMalloc(-1)


def test_handles_that_are_gone(cuda):
    gone = Stream()
    gone.close()
    invalid = cuda.cudaError_t.cudaErrorInvalidResourceHandle
    assert cuda.cudaStreamSynchronize(gone.handle) == (invalid,)
    assert cuda.cudaEventRecord(12345, 0) == (invalid,)
    assert cuda.cudaFree(12345) == (cuda.cudaError_t.cudaErrorInvalidValue,)


def test_writing_past_the_end(cuda):
    buffer = DeviceBuffer(16)
    ctypes.memset(buffer.address + 16, 0, 1)
    with pytest.raises(AssertionError, match="past the end"):
        buffer.close()
    cuda._memory.clear()


def test_what_is_left_over(cuda):
    with Stream(), Event(), DeviceBuffer(16), PinnedBuffer(16), pytest.raises(AssertionError, match="not released"):
        cuda.assert_released()


def test_a_download_that_nobody_waited_for(cuda):
    cuda.lazy = True
    with Stream() as stream, DeviceBuffer(8) as device, PinnedBuffer(8) as host:
        array = host.array("uint8", (8,))
        array[:] = 0
        download(array, device.address, stream)
        assert (array == 0xCD).all()
        stream.synchronize()
        assert (array == 0xA5).all()


def test_work_on_a_stream_that_is_gone_is_done_later(cuda):
    cuda.lazy, seen = True, []
    with Stream() as stream:
        cuda.launch(stream, lambda: seen.append(1))
    assert seen == []
    DeviceBuffer(16).close()
    assert seen == [1]


def test_one_clock_for_host_and_device(cuda):
    with Stream() as first, Stream() as second:
        start = cuda.clock
        for stream in (first, second):
            cuda.launch(stream, milliseconds=5.0)
        assert cuda.clock - start == 2 * cuda.call_ns
        first.synchronize()
        second.synchronize()
        assert 5_000_000 < cuda.clock - start < 5_010_000


def test_the_nth_call_fails_and_the_next_does_not(cuda):
    cuda.fail("cudaGetDeviceCount", at=2, error="cudaErrorUnknown")
    cuda.fail("cudaGetDevice", error="cudaErrorUnknown", times=None)
    codes = [cuda.cudaGetDeviceCount()[0].name for _ in range(3)]
    assert codes == ["cudaSuccess", "cudaErrorUnknown", "cudaSuccess"]
    assert [cuda.cudaGetDevice()[0].name for _ in range(3)] == ["cudaErrorUnknown"] * 3
    assert cuda.cudaGetLastError()[0].name == "cudaErrorUnknown"
    assert cuda.cudaGetLastError()[0].name == "cudaSuccess"
