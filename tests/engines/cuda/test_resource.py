"""The first error is the one that is told."""

import pytest

from twofour.engines.cuda.api import CudaError
from twofour.engines.cuda.memory import DeviceBuffer


def test_an_error_while_cleaning_up_does_not_hide_the_one_before(cuda):
    buffer = DeviceBuffer(64)
    cuda.fail("cudaFree", times=1)

    def work():
        try:
            raise ValueError("the real one")
        finally:
            buffer.close()

    with pytest.raises(ValueError, match="the real one"):
        work()
    cuda._memory.clear()


def test_an_error_of_its_own_is_told(cuda):
    buffer = DeviceBuffer(64)
    cuda.fail("cudaFree", times=1)
    with pytest.raises(CudaError, match="cudaFree"):
        buffer.close()
    cuda._memory.clear()
