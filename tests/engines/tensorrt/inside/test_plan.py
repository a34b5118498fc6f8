"""Plans from disk: of whom, for which TensorRT and GPU, and whole."""

from __future__ import annotations

import json
import shutil
import struct

import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import MissingError, UserError
from twofour.engines.config import TensorRTConfig
from twofour.engines.records import ENGINE, read_engine
from twofour.engines.tensorrt.build import PLAN, build_engine
from twofour.engines.tensorrt.plan import read_plan


@pytest.fixture
def built(gpu, trt_bundle, tmp_path):
    """Build an engine; gives its folder."""

    def run(**options):
        folder = tmp_path / "engine"
        build_engine(bundles.read(trt_bundle), TensorRTConfig(**options), folder)
        return folder

    return run


def alter(folder, **changes):
    """Another record beside the plan, as a plan from elsewhere has."""
    record = json.loads((folder / ENGINE).read_text())
    record["tensorrt"] |= changes
    files.write_json(folder / ENGINE, record)


def load(folder, trust=False):
    return read_plan(folder / PLAN, None, trust=trust)


def test_our_own_plan(built):
    opened = load(built())
    assert opened.engine.num_io_tensors == 2
    assert opened.log.errors() == []


def test_a_plan_of_another_user_needs_trust(built, monkeypatch, tmp_path):
    folder = built()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    with pytest.raises(UserError, match="can execute code") as caught:
        load(folder)
    assert "--trust" in caught.value.fix
    assert load(folder, trust=True).engine.num_io_tensors == 2


def test_nothing_is_deserialized_before_it_is_trusted(built, trt, monkeypatch, tmp_path):
    folder = built()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    monkeypatch.setattr(trt.Runtime, "deserialize_cuda_engine", None)
    with pytest.raises(UserError, match="can execute code"):
        load(folder)


def test_a_plan_without_record_needs_trust(built, tmp_path):
    shutil.copy(built() / PLAN, tmp_path / "alone.plan")
    with pytest.raises(UserError, match="not built by you"):
        read_plan(tmp_path / "alone.plan", None, trust=False)
    assert read_plan(tmp_path / "alone.plan", None, trust=True).engine is not None


def test_a_plan_behind_metadata_of_another_tool(built, tmp_path):
    metadata = json.dumps({"task": "classify"}).encode()
    wrapped = struct.pack("<I", len(metadata)) + metadata + (built() / PLAN).read_bytes()
    (tmp_path / "yolo.engine").write_bytes(wrapped)
    with pytest.raises(UserError, match="not built by you"):
        read_plan(tmp_path / "yolo.engine", None, trust=False)
    assert read_plan(tmp_path / "yolo.engine", None, trust=True).engine.num_io_tensors == 2


def test_a_plan_put_in_the_place_of_ours(built):
    folder = built()
    before = read_engine(folder)
    other = (folder / PLAN).read_bytes() + b"\0"
    (folder / PLAN).write_bytes(other)
    with pytest.raises(UserError, match="hash is not the one on record"):
        load(folder, trust=True)
    with pytest.raises(UserError, match="hash is not the one on record"):
        read_plan(folder / PLAN, before, trust=True)
    record = json.loads((folder / ENGINE).read_text())
    record["files"][PLAN] = files.sha256(folder / PLAN)
    files.write_json(folder / ENGINE, record)
    with pytest.raises(UserError, match="not built by you"):
        load(folder)


@pytest.mark.parametrize("keep", [0, 3, 100, 4000])
def test_a_truncated_plan(built, keep, tmp_path):
    whole = (built() / PLAN).read_bytes()
    (tmp_path / "short.plan").write_bytes(whole[:keep])
    with pytest.raises(UserError, match=r"no TensorRT plan|can't load this plan: .*[Mm]agic"):
        read_plan(tmp_path / "short.plan", None, trust=True)


def test_missing_and_strange_files(tmp_path, gpu):
    with pytest.raises(UserError, match="missing"):
        read_plan(tmp_path / "none.plan", None, trust=True)
    (tmp_path / "text.plan").write_text("hello")
    with pytest.raises(UserError, match="no TensorRT plan"):
        read_plan(tmp_path / "text.plan", None, trust=True)


def test_another_tensorrt(built, trt):
    folder = built()
    for version in ("10.11.0.33", "99.1.0.1"):
        alter(folder, version=version)
        with pytest.raises(UserError, match=f"built by TensorRT {version}; installed is {trt.__version__}"):
            load(folder)


def test_another_build_of_the_same_release(built, trt):
    folder = built()
    alter(folder, version=".".join([*trt.__version__.split(".")[:3], "999"]))
    assert load(folder).engine is not None


def test_a_version_compatible_plan_runs_on_a_later_release(built):
    folder = built(version_compatible=True)
    assert load(folder).keep[0].engine_host_code_allowed
    alter(folder, version="10.1.0.1")
    assert load(folder).engine is not None
    alter(folder, version="99.1.0.1")
    with pytest.raises(UserError, match="installed is"):
        load(folder)


def test_code_in_a_plan_may_run_only_if_it_was_asked_for(built):
    assert not load(built()).keep[0].engine_host_code_allowed


def test_the_header_of_a_plan_without_record_tells_its_release(built, tmp_path, trt):
    whole = bytearray((built() / PLAN).read_bytes())
    whole[24:28] = struct.pack("4B", 9, 9, 9, 9)
    (tmp_path / "old.plan").write_bytes(whole)
    with pytest.raises(UserError, match="can't load this plan"):  # it may be version compatible: TensorRT decides
        read_plan(tmp_path / "old.plan", None, trust=True)
    whole[24:28] = struct.pack("4B", 19, 0, 0, 0)
    (tmp_path / "new.plan").write_bytes(whole)
    with pytest.raises(UserError, match=r"built by TensorRT 19\.0\.0"):
        read_plan(tmp_path / "new.plan", None, trust=True)


def move(cuda, trt, name, capability):
    cuda.devices = [name, *cuda.devices[1:]]
    cuda.compute_capability = trt.double.compute_capability = capability


def test_another_gpu(built, cuda, trt):
    folder = built()
    move(cuda, trt, "NVIDIA Other", (12, 0))
    with pytest.raises(UserError, match=r"was built for .*this machine has NVIDIA Other \(12\.0\)"):
        load(folder)


def test_a_gpu_of_the_same_architecture_is_a_warning(built, cuda, trt, gpu, capsys):
    folder = built()
    move(cuda, trt, "NVIDIA Sibling", gpu.compute_capability)
    assert load(folder).engine is not None
    assert f"built on {gpu.name}" in capsys.readouterr().err


def test_hardware_compatibility(built, cuda, trt):
    folder = built(hardware_compatibility="ampere_plus")
    move(cuda, trt, "NVIDIA Other", (12, 0))
    assert load(folder).engine is not None
    move(cuda, trt, "NVIDIA Old", (7, 5))
    with pytest.raises(UserError, match="was built for"):
        load(folder)


def test_what_tensorrt_refuses_is_said_in_its_words(built, trt):
    folder = built()
    trt.double.compute_capability = (3, 0)
    with pytest.raises(UserError, match=r"can't load this plan: .*incompatible device"):
        load(folder)


@pytest.mark.parametrize("integrated", [False, True])
def test_too_little_memory(built, trt, cuda, monkeypatch, integrated):
    cuda.integrated = integrated
    folder = built()

    def refuse(self, serialized_engine):
        self._logger.log(trt.ILogger.Severity.ERROR, "IRuntime: Error Code 2: OutOfMemory (Requested size was 1 byte.)")

    monkeypatch.setattr(trt.Runtime, "deserialize_cuda_engine", refuse)
    with pytest.raises(MissingError, match="too little free memory") as caught:
        load(folder)
    assert [name in caught.value.fix for name in ("nvidia-smi", "tegrastats")] == [not integrated, integrated]
