"""The builds of all arms loaded at once: only what lies on the GPU already can take turns in short rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ...common import console
from ...common.errors import MissingError
from ..config import GpuProfileConfig, TensorRTConfig
from ..cuda.api import CudaError, OutOfMemoryError, call
from .plan import Opened, open_plan
from .rebuilds import Rebuilds
from .runner import TensorRTRunner

_MIB = 1 << 20
_FEWER = "Compare fewer at once with --arm, or build each less often with --rebuilds"


def run(opened: Opened, where: Path, held: ExitStack) -> TensorRTRunner:
    """A runner of this engine, whose errors name the file `where`."""
    return held.enter_context(TensorRTRunner(opened.engine, log=opened.log, where=str(where), keep=opened.keep))


def load_arms(
    found: Rebuilds, loaded: Mapping[Path, TensorRTRunner], options: TensorRTConfig, held: ExitStack
) -> dict[str, list[TensorRTRunner]]:
    """All builds of all arms, but for what is loaded already; they were built here, or checked to have been."""
    return {
        arm: [loaded[path] if path in loaded else run(open_plan(path.read_bytes(), options, str(path)), path, held)
              for path in paths]
        for arm, paths in found.plans.items()
    }


def warn_of_room(engine: TensorRTRunner, plan: Path, arms: int, config: GpuProfileConfig) -> None:
    """Say before anything is built that the builds may not fit; by the engine, for the others aren't there yet.

    It is no refusal: other arms may need less, and where the GPU shares the host's memory more can become free.
    """
    with suppress(CudaError):
        free, builds = int(call("cudaMemGetInfo")[0]), arms * config.rebuilds
        needed = (builds - 1) * plan.stat().st_size + builds * config.streams * engine.working_bytes
        if needed > free:
            console.warn(f"All {builds} builds are loaded at once, which takes {needed / _MIB:.0f} MiB if they are as "
                         f"large as the engine; {free / _MIB:.0f} MiB of the GPU's memory are free. {_FEWER}.")


@contextmanager
def fitting(found: Rebuilds) -> Iterator[None]:
    """What to do where the loaded builds don't fit.

    Raises:
        MissingError: memory is short.
    """
    try:
        yield
    except (OutOfMemoryError, MissingError) as error:
        builds = sum(map(len, found.plans.values()))
        raise MissingError(f"The {builds} builds that are compared don't fit at once: {error.what}", where=error.where,
                           fix=f"{_FEWER}; what is built is kept. {error.fix or ''}".rstrip()) from error


__all__ = ["fitting", "load_arms", "run", "warn_of_room"]
