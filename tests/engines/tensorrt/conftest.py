"""The official Python bindings of several TensorRT releases, made to load on a machine that has no TensorRT.

A release is fetched once, with pip, into `.cache/tensorrt/`. Its extension module needs three native libraries, of
which it takes nine functions: stubs of them are compiled. What comes out is a folder for PYTHONPATH and one for
LD_LIBRARY_PATH, under which `import tensorrt` gives the real classes, enums and docstrings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "tensorrt"
INSIDE = "TWOFOUR_TENSORRT_INSIDE"
"""Set, to the release, in the process that runs the inside tests."""

BINDINGS = {
    "10.12": "tensorrt-cu12-bindings==10.12.0.36",
    "10.13": "tensorrt-cu12-bindings==10.13.3.9",
    "10.16": "tensorrt-cu13-bindings==10.16.1.11",
    "11.0": "tensorrt-cu13-bindings==11.0.0.114",
    "11.4": "tensorrt-cu13-bindings==11.4.0.106",
}
OLDEST, NEWEST = "10.12", "11.4"
FAST = ("10.13", NEWEST)
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
STUBS = """
void* createInferBuilder_INTERNAL(void* logger, int version) { return 0; }
void* createInferRefitter_INTERNAL(void* engine, void* logger, int version) { return 0; }
void* createInferRuntime_INTERNAL(void* logger, int version) { return 0; }
void* createNvOnnxParser_INTERNAL(void* network, void* logger, int version) { return 0; }
void* createNvOnnxParserRefitter_INTERNAL(void* refitter, void* logger, int version) { return 0; }
void* getBuilderPluginRegistry(int capability) { return 0; }
void* getPluginRegistry(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
int initLibNvInferPlugins(void* logger, char const* name) { return 1; }
"""
FRONT = "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"

collect_ignore = [] if os.environ.get(INSIDE) else ["inside"]


@dataclass(frozen=True)
class Release:
    """A release that can be imported in a process of its own.

    Attributes:
        name: major and minor, such as `11.4`.
        site: the folder for PYTHONPATH.
        libraries: the folder for LD_LIBRARY_PATH.
    """

    name: str
    site: Path
    libraries: Path

    @property
    def version(self) -> str:
        return BINDINGS[self.name].split("==")[1]

    def environment(self, *, libraries: bool = True) -> dict[str, str]:
        """Environment variables under which `import tensorrt` gives this release."""
        paths = [str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])]  # a checkout may be named there
        found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), INSIDE: self.name}
        return {**found, "LD_LIBRARY_PATH": str(self.libraries)} if libraries else found


def fetch(name: str) -> Release:
    """Fetch the bindings of a release and compile the stubs, once; safe beside other processes that do the same."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    folder = CACHE / f"{BINDINGS[name].replace('==', '-')}-{python}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _install(BINDINGS[name], partial / "site")
            _compile(partial / "lib", name.split(".")[0])
            partial.rename(folder)
    return Release(name, folder / "site", folder / "lib")


def _install(requirement: str, site: Path) -> None:
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
          "--only-binary=:all:", "--target", str(site), requirement])
    (site / "tensorrt").mkdir()
    (site / "tensorrt" / "__init__.py").write_text(FRONT)


def _compile(folder: Path, major: str) -> None:
    folder.mkdir(parents=True)
    source = folder / "stubs.c"
    source.write_text(STUBS)
    for library in LIBRARIES:
        file = f"lib{library}.so.{major}"
        _run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(folder / file), str(source)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def _parameters() -> list[object]:
    return [pytest.param(name, id=name, marks=() if name in FAST else pytest.mark.slow) for name in BINDINGS]


@pytest.fixture(scope="session", params=_parameters())
def release(request) -> Release:
    """Each release in turn."""
    return fetch(request.param)


@pytest.fixture(scope="session")
def newest() -> Release:
    return fetch(NEWEST)


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", "one_release: an inside test that runs on the newest release only")


def pytest_collection_modifyitems(config, items) -> None:
    """Inside, what is marked `one_release` runs on the newest one alone."""
    if os.environ.get(INSIDE, NEWEST) == NEWEST:
        return
    left = [item for item in items if item.get_closest_marker("one_release")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
