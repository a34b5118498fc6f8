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
def test_a_file_of_another_release_is_ignored_and_left_as_it_is(build, tmp_path, trt, capsys, mismatch):
    trt.double.cache_mismatch = mismatch
    path = tmp_path / "cache"
    build(timing_cache=str(path))
    edit(path, version="10.0.0.1", entries={"old": 1.0})
    assert build(timing_cache=str(path)).timing_cache.startswith("ignored: it is ")
    said = capsys.readouterr().err
    assert f"The timing cache {path} is ignored" in said
    assert "left as it is. Choose another file with --timing-cache" in said
    assert "replaced" not in said
    assert entries(path) == {"old"}


def test_the_users_own_cache_that_does_not_fit_is_replaced(build, gpu, capsys):
    path = cache_path("auto", gpu)
    build()
    edit(path, version="10.0.0.1", entries={"old": 1.0})
    assert build().timing_cache.startswith("ignored: it is ")
    assert "It will be replaced." in capsys.readouterr().err
    assert "old" not in entries(path)
    assert build().timing_cache == "used"


def test_a_file_that_another_release_wrote_meanwhile_stays(build, tmp_path, trt, capsys):
    path = tmp_path / "cache"
    build(timing_cache=str(path))
    trt.double.on_step = lambda phase, step: edit(path, version="10.0.0.1", entries={"theirs": 1.0})
    assert build(timing_cache=str(path)).timing_cache == "used"
    assert entries(path) == {"theirs"}
    assert "not kept for the next one" in capsys.readouterr().err


def test_a_cache_of_another_gpu_is_ignored(build, tmp_path):
    path = tmp_path / "cache"
    build(timing_cache=str(path))
    edit(path, gpu="another", entries={"theirs": 1.0})
    assert build(timing_cache=str(path)).timing_cache == "ignored: it is of another TensorRT or another GPU"
    assert entries(path) == {"theirs"}


@pytest.mark.parametrize("content", [b"nonsense", MARK + b"{", MARK])
def test_a_damaged_cache_is_ignored_and_replaced_only_where_it_is_ours(build, gpu, tmp_path, content):
    theirs, ours = tmp_path / "cache", cache_path("auto", gpu)
    ours.parent.mkdir(parents=True)
    for path, setting in ((theirs, str(theirs)), (ours, "auto")):
        path.write_bytes(content)
        assert build(timing_cache=setting).timing_cache == "ignored: it is damaged or of another TensorRT"
    assert theirs.read_bytes() == content
    assert entries(ours)


def test_an_empty_file_is_a_new_cache(build, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    assert build(timing_cache=str(tmp_path / "cache")).timing_cache == "new"


def test_a_place_that_can_not_be_written_is_a_warning(build, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    built = build(timing_cache=str(tmp_path / "file" / "cache"))
    assert built.plan
    assert built.timing_cache.startswith("ignored: ")
    assert "not kept for the next one" in capsys.readouterr().err


def test_off(build, trt, gpu):
    assert build(timing_cache="off").timing_cache == "off"
    assert not trt.double.builds[0]["timing_cache"]
    assert not cache_path("auto", gpu).exists()
