from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from twofour.engines import doctor, finding


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install a made-up package with these requirements and this code."""

    def install(name, requires=(), code=""):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return install


def package(name, module=None, quick=False):
    return doctor._package(name, module or name, "pip install it", quick)


def test_it_names_everything():
    found = {one.name: one for one in doctor.examine()}
    assert found["Python"].state == found["twofour"].state == found["onnxruntime"].state == "ok"
    assert found["onnxruntime"].detail == metadata.version("onnxruntime")
    assert {"CPU", "memory", "disk", "NVIDIA GPU", "torch", "nvidia-modelopt", "tensorrt", "nvidia-ml-py",
            "timing caches", "timm"} <= set(found)
    assert all(one.fix for one in found.values() if one.state != "ok")
    heads, rows = doctor.rows(found.values())
    assert all(len(row) == len(heads) for row in rows)


def test_it_imports_nothing_heavy():
    code = "import sys; from twofour.engines.doctor import examine; examine(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "modelopt", "onnxruntime", "onnx", "transformers", "tensorrt", "cuda.bindings", "pynvml"}
    assert not heavy & set(loaded)


def test_a_missing_package_comes_with_its_line():
    found = package("no-such-package-of-ours")
    assert (found.state, found.fix) == ("missing", "pip install it")


def test_requirements_that_are_not_met(site):
    site("sound", ["numpy>=1", "absent; extra == 'more'", "absent; python_version < '3'"])
    site("fussy", ["numpy==0.1"])
    site("needy", ["no-such-package-of-ours>=2"])
    assert package("sound").state == "ok"
    assert package("fussy").detail == f"1.0: needs numpy==0.1, but {metadata.version('numpy')} is installed"
    assert package("needy").state == "broken"
    assert package("needy").fix == "pip install -U it"


def test_an_import_that_fails(site):
    site("bad", code="raise OSError('libnothing.so.1: cannot open shared object file')")
    assert "libnothing.so.1" in package("bad", quick=True).detail
    assert package("bad", quick=False).state == "ok"


def test_an_import_that_takes_long_is_no_fault(site, monkeypatch):
    monkeypatch.setattr(finding, "PATIENCE", 0.2)
    site("sleepy", code="import time; time.sleep(5)")
    assert package("sleepy", quick=True).state == "ok"


def test_nvidia_smi(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=None)
    assert doctor._gpu().state == "missing"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A100, 8.0, 40960 MiB, 550.1'\n")
    tool.chmod(0o755)
    assert doctor._gpu() == doctor.Finding(name="NVIDIA GPU", state="ok", detail="NVIDIA A100, 8.0, 40960 MiB, 550.1")
    tool.write_text("#!/bin/sh\necho 'could not talk to the driver'\nexit 9\n")
    assert doctor._gpu().state == "broken"
    assert "could not talk to the driver" in doctor._gpu().detail


def test_a_look_that_goes_wrong_is_a_finding(monkeypatch):
    monkeypatch.setattr(doctor, "_cpu", lambda: 1 / 0)
    broken = [one for one in doctor.examine() if one.state == "broken"]
    assert ("CPU", "ZeroDivisionError: division by zero") in [(one.name, one.detail) for one in broken]
