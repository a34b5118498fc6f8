"""What this machine has for TensorRT engines. TensorRT and CUDA are looked at in processes of their own.

Loading TensorRT takes a second and hundreds of megabytes, and a broken driver can take the process down.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from ...common.errors import MissingError
from ..finding import Finding, last_line, run_python
from .module import tensorrt
from .places import cache_folder

_TENSORRT = (
    "import json\n"
    "from twofour.common.errors import MissingError\n"
    "from twofour.engines.tensorrt.capabilities import capabilities\n"
    "try: print(json.dumps({'version': capabilities().version}))\n"
    "except MissingError as error: print(json.dumps({'what': error.what, 'fix': error.fix}))"
)
_CUDA = (
    "import json\n"
    "from dataclasses import asdict\n"
    "from twofour.common.errors import TwofourError\n"
    "from twofour.engines.cuda.device import device\n"
    "from twofour.engines.cuda.nvml import snapshot\n"
    "try: print(json.dumps(asdict(device()) | {'nvml': snapshot()}))\n"
    "except TwofourError as error: print(json.dumps({'what': error.what, 'fix': error.fix}))"
)
_LATE = "there, but it did not answer within a second; it may well work"
_GIB = 2**30


def look_at_tensorrt() -> Finding:
    """The package, its native libraries, and whether the release is new enough."""
    name = "tensorrt"
    if find_spec(name) is None:
        try:
            tensorrt()
        except MissingError as error:
            return Finding(name=name, state="missing", detail="not installed", fix=error.fix)
    said = _ask(_TENSORRT)
    if isinstance(said, Finding):
        return said.model_copy(update={"name": name, "detail": f"{_packaged()}: {said.detail}"})
    if "what" in said:
        return Finding(name=name, state="broken", detail=said["what"], fix=said["fix"])
    return Finding(name=name, state="ok", detail=said["version"])


def look_at_cuda() -> Finding:
    """The GPU as CUDA sees it, and what can be read of its clocks."""
    name = "CUDA"
    said = _ask(_CUDA)
    if isinstance(said, Finding):
        return said.model_copy(update={"name": name})
    if "what" in said:
        return Finding(name=name, state="missing", detail=said["what"], fix=said["fix"])
    return Finding(name=name, state="ok", detail=f"{_gpu(said)}; {_clocks(said['nvml'])}")


def look_at_caches() -> Finding:
    """Where timing caches lie."""
    folder = cache_folder() / "timing"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding(name="timing caches", state="broken", detail=f"{there} can't be written",
                       fix="Set XDG_CACHE_HOME to a folder of yours, or build with --timing-cache FILE.")
    return Finding(name="timing caches", state="ok", detail=f"{len(list(folder.glob('*.cache')))} in {folder}")


def _ask(code: str) -> dict[str, Any] | Finding:
    """What a process said as JSON; a finding, still without name, if it died or is too slow."""
    done = run_python(f"exec({code!r})")
    if done is None:
        return Finding(name="", state="ok", detail=_LATE)
    try:
        said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return Finding(name="", state="broken", detail=last_line(done.stderr) if done.returncode >= 0 else
                       f"the process dies of signal {-done.returncode} when it is loaded", fix="Install it again.")
    return said


def _packaged() -> str:
    """The version that the package's metadata say, without a look at the package itself."""
    try:
        return version("tensorrt")
    except PackageNotFoundError:
        return "unknown version"


def _gpu(said: dict[str, Any]) -> str:
    capability = ".".join(map(str, said["compute_capability"]))
    return (f"{said['name']}, compute capability {capability}, {said['memory_bytes'] / _GIB:.1f} GiB; driver for CUDA "
            f"{said['driver_cuda']}, cuda-python for {said['runtime_cuda']}")


def _clocks(nvml: dict[str, Any]) -> str:
    unread = [key for key, value in nvml.items() if value is None]
    if not nvml:
        return "NVML doesn't answer: no clocks, temperature and power in profiles"
    return f"NVML doesn't tell {', '.join(unread)}" if unread else "NVML tells clocks, temperature and power"


__all__ = ["look_at_caches", "look_at_cuda", "look_at_tensorrt"]
