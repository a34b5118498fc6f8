"""IBuilderConfig, IOptimizationProfile and ITimingCache."""

from __future__ import annotations

import json
from typing import Any

from . import callbacks, checked
from .checked import Checked
from .host import HostMemory
from .state import STATE

real = checked.REAL
_CACHE = b"timing-cache:"


class ITimingCache(Checked, of=real.ITimingCache):
    """Entries by layer name, with the release and GPU that they were timed on."""

    def _setup(self, content: dict[str, Any]) -> None:
        self._content = content

    @property
    def _foreign(self) -> bool:
        return self._content["version"] != real.__version__

    @property
    def _elsewhere(self) -> bool:
        return self._content["gpu"] != STATE.gpu

    def serialize(self) -> Any:
        return HostMemory(_CACHE + json.dumps(self._content).encode())

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        if input_cache._foreign or (input_cache._elsewhere and not ignore_mismatch):
            return False
        self._content["entries"] = input_cache._content["entries"] | self._content["entries"]
        return True

    def reset(self) -> bool:
        self._content["entries"] = {}
        return True


def cache_of(blob: Any) -> Any:
    """A timing cache from bytes; None if they are none."""
    raw = memoryview(blob).tobytes()
    empty = {"version": real.__version__, "gpu": STATE.gpu, "entries": {}}
    if not raw:
        return ITimingCache._make(empty)
    try:
        content = json.loads(raw.removeprefix(_CACHE)) if raw.startswith(_CACHE) else None
    except ValueError:
        content = None
    if content is None or (STATE.cache_mismatch == "create" and content["version"] != real.__version__):
        return None
    return ITimingCache._make(content)


class IOptimizationProfile(Checked, of=real.IOptimizationProfile):
    """Ranges of shapes by input."""

    def _setup(self) -> None:
        self._shapes: dict[str, tuple[tuple[int, ...], ...]] = {}
        object.__setattr__(self, "extra_memory_target", 1.0)

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002
        lows, best, highs = tuple(min), tuple(opt), tuple(max)
        same = len(lows) == len(best) == len(highs)
        if not same or any(not 0 <= a <= b <= c for a, b, c in zip(lows, best, highs, strict=True)):
            raise ValueError(f"Shape provided for {input} is inconsistent with other shapes.")
        self._shapes[input] = (lows, best, highs)

    def get_shape(self, input: str) -> Any:  # noqa: A002
        return [real.Dims(list(shape)) for shape in self._shapes.get(input, ())]

    def __bool__(self) -> bool:
        return True


class IBuilderConfig(Checked, of=real.IBuilderConfig):
    """What was asked of the builder; `trt.double.builds` keeps it for tests."""

    def _setup(self, logger: Any) -> None:
        self._logger, self._pools, self._profiles, self._cache = logger, {}, [], None
        self._progress: Any = None
        self._previews: dict[str, bool] = {}
        self._flags: set[str] = {"TF32"}
        enums = {"engine_capability": real.EngineCapability.STANDARD, "default_device_type": real.DeviceType.GPU,
                 "profiling_verbosity": real.ProfilingVerbosity.LAYER_NAMES_ONLY,
                 "hardware_compatibility_level": real.HardwareCompatibilityLevel.NONE,
                 "runtime_platform": real.RuntimePlatform.SAME_AS_BUILD,
                 "tiling_optimization_level": real.TilingOptimizationLevel.NONE}
        numbers = {"DLA_core": -1, "avg_timing_iterations": 1, "max_aux_streams": -1, "max_num_tactics": -1,
                   "l2_limit_for_tiling": -1, "profile_stream": 0, "plugins_to_serialize": [], "build_route": ""}
        for name, value in (enums | numbers).items():
            object.__setattr__(self, name, value)
        self._level = 3

    @property
    def flags(self) -> int:
        return sum(1 << int(getattr(real.BuilderFlag, name)) for name in self._flags)

    @flags.setter
    def flags(self, value: int) -> None:
        members = real.BuilderFlag.__members__
        self._flags = {name for name, flag in members.items() if value >> int(flag) & 1}

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag.name)

    def get_flag(self, flag: Any) -> bool:
        return flag.name in self._flags

    @property
    def builder_optimization_level(self) -> int:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, value: int) -> None:
        self._level = int(value)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._pools[pool.name] = int(pool_size)

    def get_memory_pool_limit(self, pool: Any) -> int:
        return self._pools.get(pool.name, 40 << 30)

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        self._previews[feature.name] = enable

    def get_preview_feature(self, feature: Any) -> bool:
        return self._previews.get(feature.name, False)

    def set_tactic_sources(self, tactic_sources: int) -> bool:
        self._tactics = int(tactic_sources)
        return True

    def get_tactic_sources(self) -> int:
        return getattr(self, "_tactics", sum(1 << int(one) for one in real.TacticSource.__members__.values()))

    def add_optimization_profile(self, profile: Any) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    @property
    def progress_monitor(self) -> Any:
        return self._progress

    @progress_monitor.setter
    def progress_monitor(self, value: Any) -> None:
        self._progress = callbacks.attach("IProgressMonitor", value)

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        return cache_of(serialized_timing_cache)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._foreign or (cache._elsewhere and not ignore_mismatch):
            callbacks.log(self._logger, "WARNING", "The timing cache will not be used: it was made by another release "
                                                   "of TensorRT, or on another device.")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache

    def reset(self) -> None:
        self._setup(self._logger)
