"""One plan from one typed ONNX file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...common import console
from ...common.bundle import Tensor
from ...common.errors import MissingError, TwofourError, UserError
from ..config import ShapeRange, TensorRTConfig
from ..cuda.advice import advice
from ..cuda.device import Device, device
from ..records import SparsityLine
from . import timing_cache
from .builder_config import builder_config, check_options
from .cancel import cancelable
from .capabilities import capabilities
from .logger import Log, LogLine, logger
from .network import dynamic_inputs, parse
from .progress import Phases, monitor
from .shapes import optimization_profile
from .sparsity_log import out_of_memory, sparsity_lines
from .start import start

_MIB = 1 << 20


@dataclass(frozen=True)
class BuiltPlan:
    """A plan, and what the builder said of it.

    Attributes:
        plan: the plan's bytes.
        seconds: the builder took, without reading the model.
        log: everything that TensorRT said.
        sparsity: what it said of sparsity.
        out_of_memory: lines that say that a tactic was left out for lack of memory.
        shapes: the optimization profile.
        timing_cache: what became of the timing cache; see `TensorRTBuild`.
    """

    plan: bytes = field(repr=False)
    seconds: float
    log: list[LogLine] = field(repr=False)
    sparsity: list[SparsityLine]
    out_of_memory: list[str]
    shapes: dict[str, ShapeRange]
    timing_cache: str


def build_plan(
    typed: Path, inputs: Sequence[Tensor], config: TensorRTConfig, *, label: str = "build engine",
    log_to: Path | None = None, on_network: Callable[[Any], None] | None = None,
) -> BuiltPlan:
    """Build a plan; the timing cache is used, and what was learned is added to it.

    Args:
        typed: an ONNX file whose types are those that the engine shall have; weights may lie in a file beside it.
        inputs: its inputs, as the bundle declares them.
        config: the options; `rest` isn't looked at, since the file says it.
        label: what the progress bar says.
        log_to: where TensorRT's log is written, also of a build that fails. Defaults to nowhere.
        on_network: called with the `trt.INetworkDefinition` before the builder gets it. Defaults to nothing.

    Raises:
        UserError: TensorRT refuses the model or can't build it, or the shapes don't suit it.
        MissingError: TensorRT or the GPU is missing, or the GPU has too little memory, or no such feature.
        KeyboardInterrupt: Ctrl-C canceled the build.
    """
    gpu = device()
    check_options(config, gpu)
    shapes = optimization_profile(inputs, config)
    cache = timing_cache.cache_path(config.timing_cache, gpu)
    log, phases = Log(), Phases()
    work = _Work(typed.resolve(), inputs, config, shapes, cache, gpu, on_network)
    try:
        with console.progress(label, None):
            plan, seconds, cached = cancelable(lambda: work.build(log, phases), phases)
    finally:
        if log_to is not None:
            log.write(log_to)
    _warn(log, config)
    return BuiltPlan(plan, seconds, log.lines, sparsity_lines(log.texts()), out_of_memory(log.texts()), shapes, cached)


@dataclass(frozen=True)
class _Work:
    """What the thread that builds needs."""

    typed: Path
    inputs: Sequence[Tensor]
    config: TensorRTConfig
    shapes: Mapping[str, ShapeRange]
    cache: Path | None
    gpu: Device
    on_network: Callable[[Any], None] | None

    def build(self, log: Log, phases: Phases) -> tuple[bytes, float, str]:
        """Plan, seconds, and what became of the timing cache."""
        speaker = logger(log)
        builder = start("Builder", speaker, log, self.gpu)
        network, _ = parse(builder, self.typed, self.inputs, log, speaker)
        if self.on_network is not None:
            self.on_network(network)
        if phases.canceled:
            raise KeyboardInterrupt
        dynamic = {name: self.shapes[name] for name in dynamic_inputs(network)}
        made = builder_config(builder, self.config, dynamic, monitor(phases))
        cached = timing_cache.attach(made, self.cache)
        began = time.perf_counter()
        plan = self._plan(lambda: builder.build_serialized_network(network, made), log)
        seconds = time.perf_counter() - began
        timing_cache.keep(made, self.cache)
        return plan, seconds, cached

    def _plan(self, build: Callable[[], Any], log: Log) -> bytes:
        trouble = ""
        try:
            plan = build()
        except (RuntimeError, MemoryError) as error:
            plan, trouble = None, str(error) or type(error).__name__
        if plan is None:
            raise _failed(log, trouble, self.typed, self.gpu)
        return bytes(plan)


def _failed(log: Log, trouble: str, typed: Path, gpu: Device) -> TwofourError:
    """Why there is no plan."""
    reason = "; ".join([*log.errors()[-3:], *([trouble] if trouble else [])]) or "it does not say why"
    short = out_of_memory([*log.texts(), trouble])
    if short:
        also = "" if out_of_memory([reason]) else f", then: {reason}"
        return MissingError(
            f"The GPU ran out of memory during the build ({' '.join(short[-1].split())}{also}).",
            where=f"{gpu.name}, {gpu.memory_bytes // _MIB} MiB",
            fix=f"{advice(gpu).memory}, or build with a smaller --max-batch or --workspace-mib.",
        )
    return UserError(f"TensorRT {capabilities().version} can't build this model: {reason}", where=str(typed),
                     fix="The node that it names, if any, can be looked at with `twofour inspect`.")


def _warn(log: Log, config: TensorRTConfig) -> None:
    """What a plan that was built all the same must not hide."""
    short = out_of_memory(log.texts())
    if short:
        more = "free GPU memory" if config.workspace_mib is None else "give it more with --workspace-mib"
        console.warn(f"Memory was short, so TensorRT left out tactics ({len(short)} lines of its log say so): this "
                     f"plan may be slower or less sparse than it could be. To avoid it, {more}, and build again.")
    for text in log.errors():
        console.warn(f"TensorRT: {text}")


__all__ = ["BuiltPlan", "build_plan"]
