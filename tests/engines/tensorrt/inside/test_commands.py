"""The commands of an edge machine, one after the other, with TensorRT and without PyTorch."""

from __future__ import annotations

import json
import shutil

import pytest

QUICK = ("--batch", "1", "--seconds", "0.02", "--rebuilds", "1", "--cuda-graph", "on", "--no-transfers")


@pytest.fixture
def engine(twofour, gpu, trt_bundle, capfd):
    assert twofour("build", trt_bundle, "--backend", "tensorrt", "--quiet", "--json") == 0
    assert json.loads(capfd.readouterr().out)["backend"] == "tensorrt"
    return trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}"


def test_build_profile_validate_inspect_package(twofour, engine, tmp_path, capfd):
    assert twofour("profile", engine, *QUICK, "--quiet", "--json") == 0
    profile = json.loads(capfd.readouterr().out)
    assert {row["arm"] for row in profile["latencies"]} >= {"sparse-int8", "dense-fp16"}
    assert twofour("validate", engine, "--quiet", "--no-gates", "--json") == 0
    validation = json.loads(capfd.readouterr().out)
    assert {row["batch"] for row in validation["batches"]} == {1, 8, 64}
    assert twofour("inspect", engine, "--json") == 0
    layers = {layer["name"]: layer["verdict"] for layer in json.loads(capfd.readouterr().out)["layers"]}
    assert set(layers) == {"fc1", "fc2"}
    assert layers["fc2"] == "not eligible"
    assert twofour("package", engine, "--triton", tmp_path / "models") == 0
    assert next((tmp_path / "models").rglob("model.plan")).read_bytes() == (engine / "engine.plan").read_bytes()


@pytest.mark.one_release
def test_tables_for_people(twofour, engine, capfd):
    for command in (("profile", engine, *QUICK), ("validate", engine, "--no-gates"), ("inspect", engine), ("doctor",)):
        assert twofour(*command) == 0
        assert "Traceback" not in capfd.readouterr().err


def test_a_plan_from_elsewhere_is_loaded_only_with_trust(twofour, engine, tmp_path, capfd, monkeypatch):
    plan = tmp_path / "found.plan"
    shutil.copy(engine / "engine.plan", plan)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    for refused in (("profile", plan), ("profile", engine), ("validate", engine, "--no-gates")):
        assert twofour(*refused, *(QUICK if refused[0] == "profile" else ()), "--backend", "tensorrt", "--quiet") == 2
        said = capfd.readouterr().err
        assert "--trust" in said
        assert "Traceback" not in said
    assert twofour("inspect", plan, "--json") == 0
    assert json.loads(capfd.readouterr().out)["kernels"] == []
    assert twofour("profile", plan, *QUICK, "--backend", "tensorrt", "--trust", "--quiet", "--json") == 0
    assert [row["arm"] for row in json.loads(capfd.readouterr().out)["latencies"]] == ["found"]
    assert twofour("validate", engine, "--no-gates", "--trust", "--quiet", "--json") == 0
    capfd.readouterr()
    assert twofour("inspect", plan, "--trust", "--json") == 0
    assert len(json.loads(capfd.readouterr().out)["kernels"]) >= 2
    assert twofour("inspect", plan, "--trust", "--onnx", engine / "typed.onnx", "--json") == 0
    assert {layer["name"] for layer in json.loads(capfd.readouterr().out)["layers"]} == {"fc1", "fc2"}


@pytest.mark.one_release
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--threads", "2"), "no option --threads"), (("--rest", "fp8"), "rest"),
        (("--opt-batch", "9", "--max-batch", "8"), "min_batch <= opt_batch <= max_batch"),
        (("--shape", "y=1x64"), "'y'"), (("--shape", "x=1x64x2"), "x"), (("--shape", "x"), "NAME=MIN:OPT:MAX"),
        (("--hardware-compatibility", "all"), "hardware_compatibility"),
    ],
)
def test_a_wrong_option_is_one_paragraph(twofour, gpu, trt_bundle, capfd, options, said):
    assert twofour("build", trt_bundle, "--backend", "tensorrt", *options) == 2
    error = capfd.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert not (trt_bundle.parent / "engines").exists() or not list((trt_bundle.parent / "engines").rglob("*.json"))
