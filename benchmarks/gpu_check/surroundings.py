"""What the machine has: the GPU, its driver, PyTorch and its libraries, and TensorRT's native library if anywhere."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import subprocess
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twofour.common import machine
from twofour.engines.cuda.device import device
from twofour.engines.cuda.nvml import snapshot

_PACKAGES = (
    "torch", "triton", "cuda-bindings", "cuda-python", "nvidia-ml-py", "nvidia-cusparselt-cu12",
    "nvidia-cusparselt-cu13", "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "onnx", "onnxruntime", "nvidia-modelopt",
    "pydantic", "polygraphy",
)


def describe() -> dict[str, Any]:
    """The machine in words and figures.

    Raises:
        MissingError: no GPU, or no driver that fits.
    """
    import torch

    found = device()
    return {
        **machine.describe(), "gpu": asdict(found), "nvml": snapshot(), "packages": versions(),
        "torch_cuda": torch.version.cuda, "torch_gpu": torch.cuda.get_device_name(),
        "cusparselt": torch.backends.cusparselt.version() if hasattr(torch.backends, "cusparselt") else None,
        "libnvinfer": libnvinfer(),
    }


def versions() -> dict[str, str]:
    """Versions of what the checks use; what is missing is left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def libnvinfer() -> list[str]:
    """Every place where TensorRT's native library lies; empty where the machine has none."""
    places = [Path(sysconfig.get_paths()["purelib"]), Path("/usr/lib"), Path("/usr/local"), Path("/opt")]
    found = {str(path) for place in places if place.is_dir() for path in _below(place)}
    named = ctypes.util.find_library("nvinfer")
    return sorted(found | ({named} if named else set()))


def _below(place: Path) -> list[str]:
    command = ["find", "-L", str(place), "-maxdepth", "6", "-name", "libnvinfer.so*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split()


__all__ = ["describe", "libnvinfer", "versions"]
