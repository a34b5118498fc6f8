"""The simulated CUDA runtime in the place of the real one; whatever a test takes it has to give back."""

import pytest


@pytest.fixture
def cuda(load, monkeypatch):
    simulated = load("engines/cuda/simulated.py").install(monkeypatch)
    yield simulated
    simulated.assert_released()
