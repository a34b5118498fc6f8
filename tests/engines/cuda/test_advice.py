from __future__ import annotations

from pathlib import Path

import pytest

import twofour
from twofour.engines.cuda import advice as module
from twofour.engines.cuda.advice import advice
from twofour.engines.cuda.device import device

JETSON = ("tegrastats", "nvpmodel", "jetson_clocks")


@pytest.mark.parametrize("integrated", [False, True])
def test_tools_that_the_machine_has(cuda, integrated):
    cuda.integrated = integrated
    found = advice(device())
    text = f"{found.memory} {found.clocks}"
    assert ("nvidia-smi" in text) is not integrated
    assert all((name in text) is integrated for name in JETSON)


def test_nobody_else_chooses():
    """The doctor asks nvidia-smi itself, and where there is no GPU nobody knows which machine it is."""
    rooms = Path(twofour.__file__).parent
    named = {path.name for room in ("engines", "pipeline") for path in (rooms / room).rglob("*.py")
             if "nvidia-smi" in path.read_text(encoding="utf-8")}
    assert named == {Path(module.__file__).name, "device.py", "doctor.py"}
