from __future__ import annotations

import numpy as np
import pytest

from twofour.engines.cuda.api import CudaError, OutOfMemoryError
from twofour.engines.cuda.memory import DeviceBuffer, PinnedBuffer, download, upload
from twofour.engines.cuda.stream import Stream

DATA = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_up_and_down_again(cuda):
    with Stream() as stream, DeviceBuffer(DATA.nbytes) as device, PinnedBuffer(64) as pinned:
        upload(device.address, DATA, stream)
        answer = pinned.array(np.float32, (3, 4))
        download(answer, device.address, stream)
        stream.synchronize()
        np.testing.assert_array_equal(answer, DATA)


def test_copies_of_pinned_memory_run_when_the_stream_does(cuda):
    cuda.lazy = True
    with Stream() as stream, DeviceBuffer(8) as device, PinnedBuffer(8) as pinned:
        array = pinned.array(np.uint8, (8,))
        array[:] = 1
        upload(device.address, array, stream)
        array[:] = 2
        stream.synchronize()
        assert (cuda.bytes_at(device.address, 8) == 2).all()
        download(array, device.address, stream)
        assert (array == 0xCD).all()
        stream.synchronize()
        assert (array == 2).all()


def test_nothing_is_copied_for_an_empty_array_and_it_still_has_an_address(cuda):
    with Stream() as stream, DeviceBuffer(0) as device, PinnedBuffer(0) as pinned:
        assert device.address
        upload(device.address, np.empty((0, 3), np.float32), stream)
        assert pinned.array(np.int64, (0,)).shape == (0,)
    assert cuda.counts["cudaMemcpyAsync"] == 0


def test_no_room_on_the_device(cuda):
    with DeviceBuffer(3 << 30), pytest.raises(OutOfMemoryError) as error:
        DeviceBuffer(6 << 30)
    assert (error.value.asked, error.value.free) == (6 << 30, 5 << 30)
    assert "6144.0 MiB (6442450944 bytes) don't fit into the GPU, of which 5120.0 MiB are free" in str(error.value)
    assert "smaller batch" in str(error.value)


def test_no_room_and_no_word_of_what_is_free(cuda):
    cuda.fail("cudaMemGetInfo", error="cudaErrorUnknown")
    with pytest.raises(OutOfMemoryError, match=r"don't fit into the GPU\.") as error:
        DeviceBuffer(9 << 30)
    assert error.value.free is None


def test_no_room_on_the_host(cuda):
    cuda.fail("cudaHostAlloc")
    with pytest.raises(OutOfMemoryError, match="page-locked") as error:
        PinnedBuffer(100)
    assert error.value.asked == 100


@pytest.mark.parametrize("make", [lambda: DeviceBuffer(16), lambda: PinnedBuffer(16), Stream])
def test_closed_once_and_only_once(cuda, make):
    with make() as one:
        one.close()
        one.close()
    cuda.assert_released()


def test_closed_buffers_have_no_address(cuda):
    for buffer in (DeviceBuffer(16), PinnedBuffer(16)):
        buffer.close()
        with pytest.raises(ValueError, match="closed"):
            _ = buffer.address


def test_released_after_an_error_which_is_the_one_that_is_told(cuda):
    cuda.fail("cudaFree", error="cudaErrorIllegalAddress", at=2)
    with pytest.raises(KeyError), DeviceBuffer(16), DeviceBuffer(16):
        raise KeyError
    assert cuda.counts["cudaFree"] == 2
    cuda._memory.clear()  # the outer one could not be freed


def test_an_error_of_release_alone_is_told(cuda):
    buffer = DeviceBuffer(16)
    cuda.fail("cudaFree", error="cudaErrorIllegalAddress")
    with pytest.raises(CudaError, match="cudaErrorIllegalAddress"), buffer:
        pass
    cuda._memory.clear()


def test_arrays_must_fit(cuda):
    with Stream() as stream, DeviceBuffer(16) as device, PinnedBuffer(16) as pinned:
        with pytest.raises(ValueError, match="32 bytes doesn't fit into 16"):
            pinned.array(np.float64, (4,))
        with pytest.raises(ValueError, match="contiguous"):
            upload(device.address, DATA.T, stream)
        frozen = np.zeros(4)
        frozen.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            download(frozen, device.address, stream)
        with pytest.raises(CudaError, match="cudaErrorInvalidValue"):
            upload(device.address, DATA, stream)
