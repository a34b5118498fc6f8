"""What keeps a profile from being taken at face value, in words: the warnings of a fair measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..config import GpuProfileConfig, TensorRTConfig
from ..records import ArmBuild, GpuTimes, Latency, LayerEvidence, TrtexecCheck

_HOST_BOUND = 0.8  # trtexec's limit of enqueuing over computing
_UNSTEADY = 0.025  # and of standard deviation over mean
_AGREE = 1.05  # trtexec's median over ours, or the reverse
_DRIFT = 0.05  # of the SM clock from before to after
_LEAST_LEVEL = 3
_WANTED = {"application clocks"}  # someone locked the clocks, which steadies them


def of_times(latencies: Sequence[Latency], clocks: str) -> Iterator[str]:
    """What the times themselves say, once for each kind, with the arms and batches that it holds for.

    Args:
        latencies: the times.
        clocks: how the clocks of this GPU are locked.
    """
    found: dict[str, list[str]] = {}
    for item in latencies:
        for text in _of_one(item.gpu, clocks) if item.gpu is not None else ():
            found.setdefault(text, []).append(f"{item.arm} at batch {item.batch}")
    yield from (f"{text}: {', '.join(dict.fromkeys(where))}." for text, where in found.items())


def _of_one(times: GpuTimes, clocks: str) -> Iterator[str]:
    kind = "with CUDA graphs" if times.cuda_graph else "without CUDA graphs"
    if times.enqueue.p50 > _HOST_BOUND * times.compute.p50:
        yield (f"Bound by the host {kind}: a launch takes more than {_HOST_BOUND:.0%} of the computing, so faster "
               "kernels may not show")
    if any(part is not None and part.p50 >= times.compute.p50 for part in (times.h2d, times.d2h)):
        yield "Copies between host and device take as long as the computing or longer"
    if times.variation > _UNSTEADY and times.h2d is None:
        yield f"Unsteady {kind}: times vary by more than {_UNSTEADY:.1%}; lock the clocks ({clocks}) if you may"
    if times.fallback is not None:
        yield f"No CUDA graph could be captured ({times.fallback.rstrip('.')})"


def of_gpu(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What the GPU's state before and after says; what can't be read says nothing.

    An idle GPU lowers its clock, so only a clock that fell counts, and what holds it down after the work.
    """
    if held := sorted({*(before.get("throttle") or ()), *(after.get("throttle") or ())} - _WANTED):
        yield f"The GPU's clock was held down: {', '.join(held)}."
    start, end = before.get("sm_mhz"), after.get("sm_mhz")
    if start and end and end < (1 - _DRIFT) * start:
        yield f"The GPU's clock fell from {start} to {end} MHz while it was measured."


def of_second_opinion(check: TrtexecCheck | None) -> Iterator[str]:
    """Where trtexec measured something else on the same plan."""
    if check is not None and not 1 / _AGREE <= check.compute_ms / check.own_ms <= _AGREE:
        yield (f"trtexec {check.version} measured {check.compute_ms:.4g} ms on the engine at batch {check.batch}, this "
               f"profile {check.own_ms:.4g} ms.")


def of_settings(config: GpuProfileConfig, options: TensorRTConfig, batches: Sequence[int]) -> Iterator[str]:
    """What was asked for, where it limits what the figures can say."""
    if config.streams > 1:
        yield f"{config.streams} inferences were in flight at once: throughput counts, a latency means little."
    if options.optimization_level < _LEAST_LEVEL:
        yield (f"Built at optimization level {options.optimization_level}: below {_LEAST_LEVEL} TensorRT tries too "
               "few kernels for any claim about sparsity.")
    if others := [batch for batch in batches if batch != options.opt_batch]:
        yield (f"Kernels were chosen at a batch of {options.opt_batch}; they are not the best for "
               f"{', '.join(map(str, others))}. Build with --opt-batch at the batch that is deployed.")


def of_builds(
    builds: Sequence[ArmBuild], rebuilds: int, layers: Sequence[LayerEvidence], measured: Sequence[str]
) -> Iterator[str]:
    """What the builds behind the arms say.

    Args:
        builds: all, the engine first.
        rebuilds: how many of each arm were asked for.
        layers: of the engine.
        measured: the arms that have a build left.
    """
    for arm in dict.fromkeys(build.arm for build in builds):
        lost = sum(build.arm == arm and build.file is None for build in builds)
        left = "" if arm in measured else " None is left, so this arm was not measured."
        if lost:
            yield (f"{lost} of {sum(build.arm == arm for build in builds)} builds of {arm} were discarded: the GPU was "
                   f"short of memory, and TensorRT left tactics out.{left}")
    if builds[0].out_of_memory:
        yield ("The engine itself was built while the GPU was short of memory, and TensorRT left tactics out: build it "
               "again.")
    if rebuilds < 2:
        yield ("Each arm was built once, so nobody knows how much two builds of it differ: no arm can be called faster "
               "or slower. Profile with gpu.rebuilds of 3.")
    if layers and not any(layer.two_four for layer in layers):
        yield "No layer of this network is 2:4, so no arm is sparse whatever its name says."


__all__ = ["of_builds", "of_gpu", "of_second_opinion", "of_settings", "of_times"]
