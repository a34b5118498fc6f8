"""A builder or runtime that doesn't start: the binding says nothing, the log says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from twofour.common.errors import MissingError
from twofour.engines.tensorrt import start as starting
from twofour.engines.tensorrt.logger import Log, logger
from twofour.engines.tensorrt.start import start

pytestmark = pytest.mark.one_release
OLD_DRIVER = "IBuilder::createInferBuilder: CUDA initialization failure with error: 35."


@pytest.fixture
def fail(trt, gpu, monkeypatch):
    """Start something that logs this error and gives nothing; the driver is for this CUDA."""
    def run(kind, says, driver="13.0"):
        def refuse(speaker):
            if says:
                speaker.log(trt.ILogger.Severity.ERROR, says)
            raise TypeError("pybind11::init(): factory function returned nullptr")

        monkeypatch.setattr(trt, kind, refuse)
        log = Log()
        with pytest.raises(MissingError) as caught:
            start(kind, logger(log), log, replace(gpu, driver_cuda=driver))
        return caught.value

    return run


def test_a_driver_for_an_older_cuda_is_told_which_wheel_suits_it(fail, monkeypatch):
    monkeypatch.setattr(starting, "cuda_of_package", lambda: 13)
    error = fail("Builder", OLD_DRIVER, driver="12.4")
    assert "can't start its builder (IBuilder::createInferBuilder: CUDA initialization failure" in error.what
    assert "pip install 'tensorrt-cu12>=10.12'" in error.fix


def test_short_of_memory(fail):
    error = fail("Runtime", "Error Code 2: OutOfMemory (Requested size was 16 bytes.)")
    assert "runtime (Error Code 2: OutOfMemory" in error.what
    assert error.fix.startswith("Free GPU memory")


def test_no_word_of_why(fail):
    error = fail("Runtime", None)
    assert "factory function returned nullptr" in error.what
    assert "twofour doctor" in error.fix


def test_a_machine_whose_tensorrt_came_without_pip(fail, monkeypatch):
    monkeypatch.setattr(starting, "cuda_of_package", lambda: None)
    assert "twofour doctor" in fail("Builder", OLD_DRIVER, driver="12.4").fix
