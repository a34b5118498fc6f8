from __future__ import annotations

import json
import subprocess
import sys

import pytest

from twofour.engines import finding
from twofour.engines.tensorrt import doctor, module

LOOK = "from twofour.engines.tensorrt.doctor import look_at_tensorrt; print(look_at_tensorrt().model_dump_json())"
H100 = {"name": "NVIDIA H100", "compute_capability": [9, 0], "memory_bytes": 80 << 30, "driver_cuda": "13.0",
        "runtime_cuda": "13.0", "nvml": {"sm_mhz": 1980, "power_w": None}}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(finding, "PATIENCE", 60.0)


def look(environment):
    code = f"from twofour.engines import finding; finding.PATIENCE = 60; {LOOK}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout)


def test_a_release_that_loads(newest):
    assert look(newest.environment())["detail"] == newest.version


def test_a_release_without_its_libraries(newest):
    found = look(newest.environment(libraries=False))
    assert found["state"] == "broken"
    assert "its native library lib" in found["detail"]
    assert "pip install tensorrt-cu13-libs==" in found["fix"]


def test_a_release_that_is_too_old(tmp_path, newest):
    (tmp_path / "tensorrt.py").write_text("__version__ = '8.6.1'\nBuilder = BuilderFlag = OnnxParser = Runtime = "
                                          "ICudaEngine = object\n")
    found = look({**newest.environment(), "PYTHONPATH": str(tmp_path)})
    assert (found["state"], "too old" in found["detail"]) == ("broken", True)


def test_a_module_that_takes_the_process_down(tmp_path, newest):
    (tmp_path / "tensorrt.py").write_text("import os; os.kill(os.getpid(), 11)")
    found = look({**newest.environment(), "PYTHONPATH": str(tmp_path)})
    assert (found["state"], "dies of signal 11" in found["detail"]) == ("broken", True)


def test_none_at_all(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    found = doctor.look_at_tensorrt()
    assert found.state == "missing"
    assert "pip install 'twofour[tensorrt]'" in found.fix


def test_on_a_jetson_it_comes_with_jetpack(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "_on_jetson", lambda: True)
    assert "JetPack" in doctor.look_at_tensorrt().fix


def answer(monkeypatch, code):
    monkeypatch.setattr(doctor, "run_python", lambda _: finding.run([sys.executable, "-c", code]))


def test_a_gpu(monkeypatch):
    answer(monkeypatch, f"print('noise'); print({json.dumps(H100)!r})")
    found = doctor.look_at_cuda()
    assert found.state == "ok"
    assert found.detail == ("NVIDIA H100, compute capability 9.0, 80.0 GiB; driver for CUDA 13.0, cuda-python for "
                            "13.0; NVML doesn't tell power_w")


def test_a_gpu_without_nvml(monkeypatch):
    answer(monkeypatch, f"print({json.dumps(H100 | {'nvml': {}})!r})")
    assert "NVML doesn't answer" in doctor.look_at_cuda().detail


def test_a_slow_answer_is_no_fault(monkeypatch):
    monkeypatch.setattr(finding, "PATIENCE", 0.2)
    answer(monkeypatch, "import time; time.sleep(30)")
    assert doctor.look_at_cuda().state == "ok"
    assert "did not answer" in doctor.look_at_cuda().detail


def test_a_machine_without_gpu():
    found = doctor.look_at_cuda()
    assert found.state in ("ok", "missing")
    assert (found.fix is None) == (found.state == "ok")


def test_where_timing_caches_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "twofour" / "timing"
    assert doctor.look_at_caches().detail == f"0 in {folder}"
    folder.mkdir(parents=True)
    (folder / "a.cache").write_text("")
    assert doctor.look_at_caches().detail == f"1 in {folder}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "a.cache"))
    assert doctor.look_at_caches().state == "broken"
