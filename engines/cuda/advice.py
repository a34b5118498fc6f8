"""What a person can do about a GPU's memory and clocks. A GPU on the host's chip, as Jetson's, has tools of its own."""

from __future__ import annotations

from dataclasses import dataclass

from .device import Device


@dataclass(frozen=True)
class Advice:
    """Parts of sentences.

    Attributes:
        memory: how to get free memory.
        clocks: how to keep the clocks where they are.
    """

    memory: str
    clocks: str


_DISCRETE = Advice(
    memory="Free GPU memory (nvidia-smi shows who holds it)",
    clocks="nvidia-smi -lgc",
)
_INTEGRATED = Advice(
    memory="Free memory, which this GPU shares with the host (on a Jetson, tegrastats shows what is in use)",
    clocks="on a Jetson: nvpmodel for the power mode, then jetson_clocks",
)


def advice(gpu: Device) -> Advice:
    """That suits this GPU."""
    return _INTEGRATED if gpu.integrated else _DISCRETE


__all__ = ["Advice", "advice"]
