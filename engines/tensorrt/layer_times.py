"""Each layer's share of an engine's time. Shares only: the events between layers make the whole slower than it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cuda.api import CudaError
from ..cuda.stream import Stream
from .capabilities import capabilities, tensorrt
from .runner import TensorRTRunner

_WARMUP = 3


def layer_times(runner: TensorRTRunner, inputs: Mapping[str, np.ndarray[Any, Any]], runs: int = 20) -> dict[str, float]:
    """Mean share of each layer, 0 to 1, by the name that the inspector has for it, in the engine's order.

    Args:
        runner: the engine.
        inputs: one batch.
        runs: inferences that are counted. Defaults to 20.

    Raises:
        As `TensorRTRunner.infer` does.
        CudaError: TensorRT reports no times, or can't.
    """
    if not capabilities().layer_times:
        raise CudaError("This TensorRT has no profiler of layers.")
    with runner.prepare(inputs) as prepared, Stream() as stream:
        context, times = prepared.context, _profiler()
        context.enqueue_emits_profile = False
        context.profiler = times
        try:
            for number in range(_WARMUP + runs):
                if number == _WARMUP:
                    times.total.clear()
                prepared.enqueue(stream)
                stream.synchronize()
                if not context.report_to_profiler():
                    raise CudaError("TensorRT reports no times of its layers.")
        finally:
            stream.synchronize()
            context.profiler = None  # it goes before the context does
    whole = sum(times.total.values())
    return {name: ms / whole if whole else 0.0 for name, ms in times.total.items()}


def _profiler() -> Any:
    trt = tensorrt()

    class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
        """Adds up milliseconds by layer."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.total: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.total[layer_name] = self.total.get(layer_name, 0.0) + ms

    return Profiler()


__all__ = ["layer_times"]
