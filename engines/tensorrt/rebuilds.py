"""Every arm built as often as was asked: what is there already is kept, what is missing is built and kept at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ...common import console
from ...common.bundle import Bundle
from ..config import Arm, GpuProfileConfig, TensorRTConfig
from ..cuda.device import device
from ..cuda.nvml import snapshot
from ..records import ArmBuild, EngineRecord
from .arm_index import ARMS, ArmIndex, Origin
from .arms import DENSE, arm_options, own_arm, write_dense
from .build_plan import build_plan
from .capabilities import capabilities
from .typed import TYPED, largest_of


@dataclass
class Rebuilds:
    """The plans to compare.

    Attributes:
        plans: paths of each arm's plans; the engine's own arm, which the engine itself leads, comes first. An arm of
            which every build was discarded is not there.
        builds: every build in the same order, with those that were discarded.
    """

    plans: dict[Arm, list[Path]] = field(default_factory=dict)
    builds: list[ArmBuild] = field(default_factory=list)

    def add(self, folder: Path, build: ArmBuild) -> None:
        """One more; a discarded one has no plan."""
        self.builds.append(build)
        if build.file is not None:
            self.plans.setdefault(build.arm, []).append(folder / build.file)


def rebuild(
    folder: Path, record: EngineRecord, source: Bundle, options: TensorRTConfig, config: GpuProfileConfig
) -> Rebuilds:
    """Find or build the plans of every arm.

    Args:
        folder: the engine's folder.
        record: of the engine.
        source: the bundle that it was built from.
        options: that it was built with.
        config: the arms, and how often each is built; the engine itself is the first build of its own arm, which is
            there also where it isn't among the arms.

    Raises:
        UserError: TensorRT refuses an arm, or the folder can't be written.
        MissingError: TensorRT or the GPU is missing, or memory is short.
        KeyboardInterrupt: Ctrl-C; what is finished is kept.
    """
    own, found = own_arm(options), Rebuilds()
    arms = dict.fromkeys([own, *config.arms])
    found.add(folder, _engine(record, own))
    with _Workshop(folder, record, source, options) as workshop:
        wanted = [(arm, number) for arm in arms for number in range(1, config.rebuilds + 1)][1:]
        kept = {key: workshop.kept(*key) for key in wanted}
        missing = sum(build is None for build in kept.values())
        with _progress(missing) as advance:
            for (arm, number), build in kept.items():
                found.add(folder, build or workshop.build(arm, number))
                if build is None:
                    advance(1)
    return found


def _progress(missing: int) -> AbstractContextManager[Callable[[int], None]]:
    return console.progress("build arms", missing) if missing else nullcontext(lambda _steps: None)


def _engine(record: EngineRecord, own: Arm) -> ArmBuild:
    """The engine itself, which isn't discarded whatever its log says: it is what was asked about."""
    assert record.tensorrt is not None
    return ArmBuild(arm=own, number=1, file=record.engine, seconds=record.tensorrt.seconds,
                    sparsity_log=record.tensorrt.sparsity_log, out_of_memory=record.tensorrt.out_of_memory)


class _Workshop:
    """Builds arms; the dense ones' graphs are written once and go when it is left."""

    def __init__(self, folder: Path, record: EngineRecord, source: Bundle, options: TensorRTConfig) -> None:
        self._engine, self._record, self._source, self._options = folder, record, source, options
        self._index, self._graphs = ArmIndex(folder), dict[Arm, Path]()
        self._largest: dict[str, float] | None = None
        gpu = device()
        self._gpu = {"name": gpu.name, "uuid": gpu.uuid, "driver": snapshot(gpu.index).get("driver")}

    def kept(self, arm: Arm, number: int) -> ArmBuild | None:
        """What was built before from the same, whole and by this user."""
        stored = self._index.find(arm, number, self._origin(arm))
        return None if stored is None else stored.build()

    def build(self, arm: Arm, number: int) -> ArmBuild:
        """Build an arm; the plan is discarded if memory was short."""
        origin = self._origin(arm)
        label = f"{arm} {number}"
        built = build_plan(self._graph(arm), self._source.manifest.inputs, origin.options, label=label)
        if built.out_of_memory:
            return ArmBuild(arm=arm, number=number, file=None, seconds=built.seconds, sparsity_log=built.sparsity,
                            out_of_memory=built.out_of_memory)
        return self._index.add(arm, number, origin, built).build()

    def _origin(self, arm: Arm) -> Origin:
        return Origin(
            bundle_digest=self._record.bundle_digest, typed=self._record.files[TYPED],
            options=arm_options(arm, self._options), version=capabilities().version, gpu=self._gpu,
        )

    def _graph(self, arm: Arm) -> Path:
        """The typed graph that the arm is built from."""
        if arm not in DENSE:
            return self._engine / TYPED
        if arm not in self._graphs:
            self._graphs[arm] = path = self._engine / ARMS / f".{arm}.{os.getpid()}.tmp" / TYPED
            write_dense(arm, self._source, arm_options(arm, self._options), self._reach(arm), path)
        return self._graphs[arm]

    def _reach(self, arm: Arm) -> dict[str, float]:
        """Largest magnitudes, measured once, for the narrower arm if the two differ."""
        if not self._largest:
            self._largest = largest_of(self._source, arm_options(arm, self._options))
        return self._largest

    def __enter__(self) -> _Workshop:
        return self

    def __exit__(self, *error: object) -> None:
        for graph in self._graphs.values():
            shutil.rmtree(graph.parent, ignore_errors=True)


__all__ = ["Rebuilds", "rebuild"]
