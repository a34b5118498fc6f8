"""What a lane is made of, and where the tensors of one inference lie."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from .buffers import Array
from .context import Complaints, Context
from .ports import Ports, Shape


@dataclass(frozen=True)
class Source:
    """What lanes are made of.

    Attributes:
        engine: the `trt.ICudaEngine`.
        ports: its inputs and outputs.
        profile: number of the optimization profile.
        device: number of the GPU.
        complaints: listens for TensorRT's errors.
        making: held while a context is made, since TensorRT doesn't promise that two can be made at once.
    """

    engine: Any
    ports: Ports
    profile: int
    device: int
    complaints: Complaints
    making: threading.Lock


@dataclass(frozen=True)
class Bound:
    """Where the tensors of one inference lie.

    Attributes:
        shapes: of the inputs.
        addresses: of all tensors.
        uploads: address on the device and page-locked array, of each input that the host gave.
        outputs: shapes of the outputs.
    """

    shapes: dict[str, Shape]
    addresses: dict[str, int]
    uploads: dict[str, tuple[int, Array]]
    outputs: dict[str, Shape]

    @property
    def key(self) -> tuple[object, ...]:
        """All that a CUDA graph of it depends on."""
        return tuple(self.shapes.items()), tuple(self.addresses.items())

    def set(self, context: Context) -> None:
        """Make a context run it."""
        inputs = {name: address for name, address in self.addresses.items() if name in self.shapes}
        context.bind(inputs)
        context.shape(self.shapes)
        context.bind(self.addresses)


__all__ = ["Bound", "Source"]
