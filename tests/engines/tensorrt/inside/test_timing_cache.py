"""The builder and its timing cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twofour.common.bundle import Tensor
from twofour.engines.config import TensorRTConfig
from twofour.engines.tensorrt.build_plan import build_plan
from twofour.engines.tensorrt.timing_cache import cache_path

INPUTS = [Tensor(name="x", dtype="float32", shape=["batch", 64])]
MARK = b"timing-cache:"  # how the double's caches begin


@pytest.fixture
def build(gpu, tmp_path, sparse_network):
    path = tmp_path / "typed.onnx"
    path.write_bytes(sparse_network.onnx().SerializeToString())
    return lambda **options: build_plan(path, INPUTS, TensorRTConfig(**options))


def entries(path):
    return set(json.loads(path.read_bytes().removeprefix(MARK))["entries"])


def edit(path, **changes):
    content = json.loads(path.read_bytes().removeprefix(MARK)) | changes
    path.write_bytes(MARK + json.dumps(content).encode())


def test_one_file_for_each_release_and_gpu(gpu, trt):
    path = cache_path("auto", gpu)
    assert trt.__version__ in path.name
    assert gpu.slug in path.name
    assert cache_path("off", gpu) is None
    assert cache_path("a/b", gpu) == Path.cwd() / "a" / "b"


def test_new_then_used(build, gpu):
    assert build().timing_cache == "new"
    assert entries(cache_path("auto", gpu))
    assert build().timing_cache == "used"


def test_what_another_build_learned_meanwhile_stays(build, tmp_path, trt):
    path = tmp_path / "cache"
    build(timing_cache=str(path))
    own = entries(path)
    trt.double.on_step = lambda phase, step: edit(path, entries={"another's": 1.0})
    assert build(timing_cache=str(path)).timing_cache == "used"
    assert entries(path) == own | {"another's"}


@pytest.mark.parametrize("mismatch", ["set", "create"])
def test_a_cache_of_another_release_is_ignored_said_so_and_replaced(build, tmp_path, trt, capsys, mismatch):
    trt.double.cache_mismatch = mismatch
    path = tmp_path / "cache"
    build(timing_cache=str(path))
    edit(path, version="10.0.0.1", entries={"old": 1.0})
    assert build(timing_cache=str(path)).timing_cache.startswith("ignored: it is ")
    assert f"The timing cache {path} is ignored" in capsys.readouterr().err
    assert "old" not in entries(path)
    assert build(timing_cache=str(path)).timing_cache == "used"


def test_a_cache_of_another_gpu_is_ignored(build, tmp_path):
    path = tmp_path / "cache"
    build(timing_cache=str(path))
    edit(path, gpu="another", entries={"theirs": 1.0})
    assert build(timing_cache=str(path)).timing_cache == "ignored: it is of another TensorRT or another GPU"
    assert "theirs" not in entries(path)


@pytest.mark.parametrize("content", [b"nonsense", MARK + b"{", MARK])
def test_a_damaged_cache_is_ignored_and_replaced(build, tmp_path, content):
    path = tmp_path / "cache"
    path.write_bytes(content)
    assert build(timing_cache=str(path)).timing_cache == "ignored: it is damaged or of another TensorRT"
    assert entries(path)


def test_an_empty_file_is_a_new_cache(build, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    assert build(timing_cache=str(tmp_path / "cache")).timing_cache == "new"


def test_a_place_that_can_not_be_written_is_a_warning(build, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    built = build(timing_cache=str(tmp_path / "file" / "cache"))
    assert built.plan
    assert built.timing_cache.startswith("ignored: ")
    assert "was not kept" in capsys.readouterr().err


def test_off(build, trt, gpu):
    assert build(timing_cache="off").timing_cache == "off"
    assert not trt.double.builds[0]["timing_cache"]
    assert not cache_path("auto", gpu).exists()
