"""Our TensorRT code on the real bindings of every release: the tests in `inside/` run in a process of their own.

    pytest tests/engines/tensorrt -k 11.4                              one release
    INSIDE="-k parser" pytest tests/engines/tensorrt -k 11.4           some of its inside tests
    INSIDE="--pdb -x" pytest -s tests/engines/tensorrt -k 11.4         with a debugger

By hand, for one inside test (the folders are there after the first run of this file):

    cd .cache/tensorrt/tensorrt-cu13-bindings-11.4.0.106-cp311 && export PYTHONPATH=$PWD/site LD_LIBRARY_PATH=$PWD/lib
    cd - && TWOFOUR_TENSORRT_INSIDE=11.4 python -m pytest tests/engines/tensorrt/inside/test_double.py -k parser
"""

import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

INSIDE = Path(__file__).with_name("inside")
ROOT = Path(__file__).parents[3]


def test_inside(release, capfd):
    asked = shlex.split(os.environ.get("INSIDE", ""))
    command = [sys.executable, "-m", "pytest", str(INSIDE), "-q", "-p", "no:cacheprovider", *asked]
    interactive = "--pdb" in asked
    done = subprocess.run(command, cwd=ROOT, env=release.environment(), text=True, timeout=900,
                          stdout=None if interactive else subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"TensorRT {release.version}:\n{done.stdout}"


def test_the_inside_tests_are_not_collected_without_bindings():
    environment = {key: value for key, value in os.environ.items() if key != "TWOFOUR_TENSORRT_INSIDE"}
    command = [sys.executable, "-m", "pytest", str(INSIDE.parent), "-q", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert "inside/" not in done.stdout


def test_the_process_inside_imports_the_checkout_that_is_tested(newest):
    code = "import twofour; print(twofour.__file__)"
    ways = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True).stdout
            for env in (dict(os.environ), newest.environment())]
    assert ways[0]
    assert ways[0] == ways[1]


def test_the_newest_release_is_named_in_one_place():
    room = Path(__file__).parent
    named = [path.name for path in room.rglob("*.py") if re.search(r"\bNEWEST\b.* = ", path.read_text())]
    assert named == ["conftest.py"]


@pytest.fixture
def fetching(load, tmp_path, monkeypatch):
    """The fetching of bindings, into an empty cache and without a network; `installed` lists what was fetched."""
    module = load("engines/tensorrt/conftest.py")
    module.installed = []

    def install(requirement, site):
        site.mkdir(parents=True)
        module.installed.append(requirement)
        time.sleep(0.05)

    monkeypatch.setattr(module, "CACHE", tmp_path)
    monkeypatch.setattr(module, "_install", install)
    return module


def test_two_at_once_fetch_once(fetching):
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(fetching.fetch, ["11.4", "11.4"])
    assert one == other
    assert len(fetching.installed) == 1
    assert sorted(path.name for path in one.libraries.glob("*.so.11")) == [
        "libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11"]


def test_a_fetch_that_failed_is_tried_again(fetching, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(fetching, "_run", lambda command: pytest.fail("no compiler"))
        with pytest.raises(pytest.fail.Exception):
            fetching.fetch("10.13")
    assert fetching.fetch("10.13").libraries.is_dir()
    assert len(fetching.installed) == 2
