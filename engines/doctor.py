"""What this machine has, what it lacks, and the line that installs it. Heavy packages are looked at, not imported."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..common import machine
from .finding import Finding, State, last_line, run, run_python
from .tensorrt.doctor import look_at_caches, look_at_cuda, look_at_tensorrt

_GIB = 2**30
_LEAST_DISK = _GIB
_PACKAGES = (  # name at the registry, module, how it is installed, whether a trial import is quick
    ("onnxruntime", "onnxruntime", "pip install onnxruntime", True),
    ("torch", "torch", "pip install 'twofour[train]'", False),
    ("nvidia-modelopt", "modelopt", "pip install 'twofour[train]'", False),
    ("accelerate", "accelerate", "pip install 'twofour[train]'", False),
    ("cuda-python", "cuda.bindings.driver", "pip install 'twofour[edge]'", True),
    ("nvidia-ml-py", "pynvml", "pip install 'twofour[edge]'", True),
    ("transformers", "transformers", "pip install 'twofour[hf]'", False),
    ("timm", "timm", "pip install 'twofour[vision]'", False),
    ("torchvision", "torchvision", "pip install 'twofour[vision]'", False),
)


def examine() -> list[Finding]:
    """Look at the machine, ten seconds at most; never fails: a look that goes wrong is itself a finding."""
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python), ("twofour", _twofour), ("CPU", _cpu), ("memory", _memory), ("disk", _disk),
        ("NVIDIA GPU", _gpu),
    ]
    looks += [("tensorrt", look_at_tensorrt), ("timing caches", look_at_caches)]
    looks += [("CUDA", look_at_cuda)] if find_spec("cuda") is not None else []
    looks += [(package[0], lambda package=package: _package(*package)) for package in _PACKAGES]  # type: ignore[misc]
    with ThreadPoolExecutor(len(looks)) as pool:
        return list(pool.map(lambda look: _safe(*look), looks))


def rows(found: Iterable[Finding]) -> tuple[list[str], list[list[str]]]:
    """The findings as a table to print: headings and rows."""
    return ["what", "state", "detail", "to fix it"], [[one.name, one.state, one.detail, one.fix or ""] for one in found]


def _safe(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # whatever is wrong with a machine must not hide the rest
        return Finding(name=name, state="broken", detail=f"{type(error).__name__}: {error}")


def _python() -> Finding:
    return Finding(name="Python", state="ok", detail=f"{platform.python_version()} ({sys.executable})")


def _twofour() -> Finding:
    return Finding(name="twofour", state="ok", detail=metadata.version("twofour"))


def _cpu() -> Finding:
    found = machine.describe()
    integer = ", ".join(found["int8_instructions"]) or "none"
    detail = f"{found['cpu']}, {found['cores']} cores, INT8 instructions: {integer}"
    return Finding(name="CPU", state="ok", detail=detail)


def _memory() -> Finding:
    size = machine.describe()["memory_bytes"]
    return Finding(name="memory", state="ok", detail="unknown" if size is None else f"{size / _GIB:.1f} GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / _GIB:.1f} GiB free in {Path.cwd()}"
    if free < _LEAST_DISK:
        return Finding(name="disk", state="missing", detail=detail, fix="Free some space, or work in another folder.")
    return Finding(name="disk", state="ok", detail=detail)


def _gpu() -> Finding:
    jetson = Path("/proc/device-tree/model")
    if jetson.is_file() and "NVIDIA" in (model := jetson.read_text(errors="replace").strip("\0\n")):
        return Finding(name="NVIDIA GPU", state="ok", detail=model)
    if shutil.which("nvidia-smi") is None:
        return Finding(name="NVIDIA GPU", state="missing", detail="no nvidia-smi on the path",
                       fix="TensorRT engines need an NVIDIA GPU and its driver; all else runs without.")
    query = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader"]
    done = run(query)
    if done is None or done.returncode or not done.stdout.strip():
        text = "nvidia-smi: " + ("it doesn't answer" if done is None else last_line(done.stdout + done.stderr))
        return Finding(name="NVIDIA GPU", state="broken", detail=text, fix="Install NVIDIA's driver again.")
    return Finding(name="NVIDIA GPU", state="ok", detail="; ".join(done.stdout.strip().splitlines()))


def _package(name: str, module: str, fix: str, quick: bool) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if find_spec(module.split(".")[0]) is None:
            return Finding(name=name, state="missing", detail="not installed", fix=fix)
        version = "without package metadata"
    trouble = _unmet(name) or (_import_trouble(module) if quick else None)
    if trouble:
        again = fix.replace("install", "install -U", 1)
        return Finding(name=name, state="broken", detail=f"{version}: {trouble}", fix=again)
    return Finding(name=name, state="ok", detail=version)


def _unmet(name: str) -> str | None:
    """The first of a package's own requirements that the installed packages don't meet."""
    try:
        from packaging.requirements import Requirement

        wanted = [Requirement(line) for line in metadata.requires(name) or []]
    except (ImportError, metadata.PackageNotFoundError, ValueError):
        return None
    needed = (one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""}))
    return next((text for one in needed if (text := _conflict(one)) is not None), None)


def _conflict(requirement: Any) -> str | None:
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"needs {requirement.name}, which is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"needs {requirement.name}{requirement.specifier}, but {installed} is installed"


def _import_trouble(module: str) -> str | None:
    done = run_python(f"import {module}")
    return last_line(done.stderr) if done is not None and done.returncode else None


__all__ = ["Finding", "State", "examine", "rows"]
