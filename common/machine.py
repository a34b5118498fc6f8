"""What a measurement was taken on: processor, cores, memory, versions."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("twofour", "torch", "nvidia-modelopt", "accelerate", "onnx", "onnxruntime", "tensorrt", "numpy")
_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def versions(packages: tuple[str, ...] = _PACKAGES) -> dict[str, str]:
    """Python's and each installed package's version; a package that is absent is left out. Imports none of them."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Processor model, its INT8 instructions, usable cores, memory in bytes, system and versions."""
    return {
        "cpu": _cpu_model(),
        "architecture": platform.machine(),
        "int8_instructions": _int8_instructions(),
        "cores": usable_cores(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "versions": versions(),
    }


def usable_cores() -> int:
    """Cores that this process may use: those it may run on, but no more than its control groups' CPU time is worth.

    A quota (of a container, say) is rounded up to whole cores; at least 1.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([own, *_quotas()]))


def _quotas() -> Iterator[int]:
    """The CPU quota of each control group that this process is in, in cores; groups without one are left out."""
    for folder in _groups():
        for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with suppress(OSError, ValueError):
                quota, period = (int(word) for name in files for word in (folder / name).read_text().split())
                if quota > 0 < period:
                    yield math.ceil(quota / period)


def _groups() -> Iterator[Path]:
    """The folders of this process's control groups, version 2 or the CPU's of version 1, up to the root.

    A container may see its own group as the root under another name than the kernel says.
    """
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            names = [name for name in group.split("/") if name not in ("", "..")]
            for depth in range(len(names), -1, -1):
                yield Path(_GROUPS, controllers, *names[:depth])


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key) and ":" in line), "")


def _cpu_model() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _int8_instructions() -> list[str]:
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    return [name for name in ("avx2", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm") if name in flags]


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


__all__ = ["describe", "usable_cores", "versions"]
