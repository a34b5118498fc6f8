"""The commands as a user meets them: what they print, how they end, and what they say of bad input."""

import json
import resource
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest

from twofour.common.files import sha256
from twofour.common.lock import locked

USER_CODE = """
import torch
from twofour.training.data import digits
from twofour.training.loaders import Loaders


def raises():
    raise RuntimeError("the user's own words")


def number():
    return 7


class Broken:
    def __init__(self, batches, where):
        good = list(digits(size=8).val)
        for name in ("train", "val", "calibration"):
            setattr(self, name, batches if name == where else good)


def empty(where="train"):
    return Broken([], where)


def nan(where="train"):
    batches = list(digits(size=8).val)
    batches[1] = (batches[1][0] * float("nan"), batches[1][1])
    return Broken(batches, where)


def labels(where="train"):
    batches = list(digits(size=8).val)
    batches[2] = (batches[2][0], batches[2][1] + 100)
    return Broken(batches, where)


def ragged(where="train"):
    batches = list(digits(size=8).val)
    batches[1] = (batches[1][0], batches[1][1][:-3])
    return Broken(batches, where)


def shapes(where="train"):
    batches = list(digits(size=8).val)
    batches[1] = (batches[1][0].repeat(1, 2, 1, 1), batches[1][1])
    return Broken(batches, where)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "user_code.py").write_text(USER_CODE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("user_code", None)


@pytest.fixture
def run_copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def refused(twofour, capsys, *arguments, code=2) -> str:
    capsys.readouterr()
    assert twofour(*arguments) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "\n".join(said)
    assert said[-1].startswith("error: ")
    return said[-1]


def finished_stages(folder):
    return [path.parent.name for path in folder.rglob("stage.json")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"factory": "user_code:raises"}}, "the user's own words"),
        ({"model": {"factory": "user_code:number"}}, "int"),
        ({"model": {"factory": "user_code:absent"}}, "absent"),
        ({"model": {"factory": "no_such_module:net"}}, "no_such_module"),
        ({"model": {"factory": "user_code"}}, "user_code"),
        ({"data": {"factory": "user_code:number"}}, "user_code:number"),
        ({"data": {"factory": "twofour.training.data:image_folder", "args": {"root": "nowhere"}}}, "nowhere"),
        ({"data": {"factory": "user_code:empty"}}, "train"),
        ({"data": {"factory": "user_code:nan"}}, "train loader, batch 1"),
        ({"data": {"factory": "user_code:labels"}}, "train loader, batch 2"),
        ({"data": {"factory": "user_code:ragged"}}, "train loader, batch 1"),
        ({"data": {"factory": "user_code:shapes"}}, "train loader, batch 1"),
        ({"data": {"factory": "user_code:nan", "args": {"where": "val"}}}, "val loader, batch 1"),
    ],
)
def test_wrong_models_and_data_are_refused_before_anything_is_made(twofour, capsys, here, recipe, changes, said):
    assert said in refused(twofour, capsys, "run", recipe(**changes), "--out", here / "run", "--quiet")
    assert finished_stages(here / "run") == []


@pytest.mark.parametrize(("case", "done"), [("empty", []), ("nan", ["dense"]), ("shapes", ["dense"])])
def test_a_wrong_calibration_batch_is_named(twofour, capsys, here, recipe, case, done):
    data = {"factory": f"user_code:{case}", "args": {"where": "calibration"}}
    training = [{"stage": "dense", "epochs": 0}]
    said = refused(twofour, capsys, "run", recipe(data=data, training=training), "--out", here / "run", "--quiet")
    assert "calibration" in said
    assert finished_stages(here / "run") == done


def test_weights_are_checked_before_they_are_used(twofour, capsys, here, recipe):
    import torch

    from twofour.training.models import tiny_resnet

    model = {"factory": "twofour.training.models:tiny_resnet", "args": {"widths": [16, 32], "blocks": 1}}
    torch.save(tiny_resnet(widths=(16, 48), blocks=1).state_dict(), "wrong.pt")

    class Bomb:
        def __reduce__(self):
            return exec, ("open('ran', 'w')",)

    torch.save({"stem.weight": Bomb()}, "bomb.pt")
    for file, words in (("wrong.pt", "body.1.conv1.weight"), ("bomb.pt", "bomb.pt"), ("none.pt", "none.pt")):
        path = recipe(model={**model, "weights": file}, training=[])
        assert words in refused(twofour, capsys, "run", path, "--out", here / "run", "--quiet")
    assert not (here / "ran").exists()


def test_a_missing_package_is_exit_code_4(twofour, capsys, here, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    path = recipe(model={"factory": "timm:resnet18"})
    assert "pip install 'twofour[vision]'" in refused(twofour, capsys, "run", path, "--quiet", code=4)


@pytest.mark.parametrize("package", ["torch", "modelopt.torch.quantization", "onnxscript"])
def test_a_machine_without_the_training_packages_is_told_before_anything_is_made(
    twofour, capsys, here, recipe, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(twofour, capsys, "run", recipe(), "--out", here / "run", "--quiet", code=4)
    assert "pip install 'twofour[train]'" in said
    assert not (here / "run" / "recipe.yaml").exists()


def test_a_run_folder_that_can_not_be_made_is_refused(twofour, capsys, here, recipe):
    (here / "file").write_text("")
    assert "file" in refused(twofour, capsys, "run", recipe(), "--out", here / "file" / "run")
    assert "is a file" in refused(twofour, capsys, "run", recipe(), "--out", here / "file")


def test_the_second_run_in_a_folder_is_told(twofour, capsys, here, recipe):
    with locked(here / "run"):
        assert "Another twofour" in refused(twofour, capsys, "run", recipe(), "--out", here / "run")


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_cleanly_and_the_run_goes_on_when_there_is_room(here, recipe):
    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "twofour", "train", recipe(), "--out", here / "run", "--quiet"]
    full = subprocess.run(command, capture_output=True, text=True, preexec_fn=little_room)
    assert full.returncode == 2, full.stderr
    assert "no room left" in full.stderr
    assert "Traceback" not in full.stderr
    assert finished_stages(here / "run") == []
    assert not [path for path in (here / "run").rglob("*") if path.name.endswith(".tmp")]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_second_run_keeps_everything_and_a_change_redoes_what_follows(twofour, capsys, run_copy):
    before = {path: path.stat().st_mtime_ns for path in run_copy.rglob("stage.json")}
    assert twofour("run", run_copy) == 0
    assert {path: path.stat().st_mtime_ns for path in run_copy.rglob("stage.json")} == before
    capsys.readouterr()
    assert twofour("run", run_copy, "--set", "export.exporter=torchscript") == 0
    redone = {path.parent.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert redone == {"export", "onnxruntime-cpu", "profile", "validate"}
    assert "dense: unchanged, kept" in capsys.readouterr().err


def test_a_setting_that_fails_costs_nothing(twofour, capsys, run_copy):
    refused(twofour, capsys, "run", run_copy, "--set", "data.args.bogus=1", "--quiet")
    refused(twofour, capsys, "run", run_copy, "--set", "training.sparse.layers.include=[nothing]", "--quiet")
    capsys.readouterr()
    assert twofour("run", run_copy, "--set", "training.sparse.layers.include=[]") == 0
    said = capsys.readouterr().err
    assert "dense: unchanged, kept" in said
    assert "sparse: unchanged, kept" in said


def test_engine_commands_on_a_run_leave_it_in_order(twofour, capsys, run_copy):
    engine = run_copy / "engines" / "onnxruntime-cpu"
    assert twofour("profile", engine, "--batch", 3, "--seconds", 0.05, "--quiet") == 0
    assert twofour("build", run_copy / "bundle", "--threads", 1, "--quiet") == 0
    with locked(run_copy):
        assert "Another twofour" in refused(twofour, capsys, "validate", engine, "--quiet")
    capsys.readouterr()
    assert twofour("run", run_copy) == 0
    said = capsys.readouterr().err
    assert "export: unchanged, kept" in said
    assert "build onnxruntime: unchanged, kept" not in said


@pytest.fixture
def no_tensorrt(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)


def test_an_optional_engine_that_this_machine_cannot_build_is_skipped_and_said(twofour, capsys, run_copy, no_tensorrt):
    engines = "engines=[{backend: onnxruntime}, {backend: tensorrt, rest: fp16, optional: true}]"
    assert twofour("run", run_copy, "--set", engines) == 0
    assert "optional engine tensorrt is skipped" in capsys.readouterr().err
    summary = json.loads((run_copy / "summary.json").read_text())
    assert "twofour[tensorrt]" in summary["skipped"]["tensorrt"]
    assert set(summary["engines"]) == {"onnxruntime-cpu"}


def test_an_engine_that_is_not_optional_is_missed_before_anything_runs(twofour, capsys, run_copy, no_tensorrt):
    said = refused(twofour, capsys, "run", run_copy, "--set", "engines=[{backend: tensorrt}]", "--quiet", code=4)
    assert "pip install 'twofour[tensorrt]'" in said
    assert "pip install 'twofour[tensorrt]'" in refused(
        twofour, capsys, "build", run_copy / "bundle", "--backend", "tensorrt", code=4
    )


def test_an_option_of_another_backend_is_refused(twofour, capsys, run_copy):
    assert "no option --rest" in refused(twofour, capsys, "build", run_copy / "bundle", "--rest", "fp16")
    assert "abacus" in refused(twofour, capsys, "build", run_copy / "bundle", "--backend", "abacus")


def test_a_damaged_stage_is_named_and_not_used(twofour, capsys, run_copy):
    weights = run_copy / "dense" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "dense/weights.safetensors" in refused(twofour, capsys, "run", run_copy, "--quiet")


def test_a_gate_that_is_missed_is_exit_code_3_after_all_is_written(twofour, capsys, run_copy):
    said = refused(twofour, capsys, "run", run_copy, "--set", "profile.max_latency_ms=1e-6", "--quiet", code=3)
    assert "max_latency_ms" in said
    summary = json.loads((run_copy / "summary.json").read_text())
    assert summary["engines"]["onnxruntime-cpu"]["profile_gates"][0]["met"] is False
    assert "max_latency_ms" in (run_copy / "report.html").read_text()


def test_the_edge_commands_on_a_bundle_that_was_copied(twofour, capsys, finished, tmp_path):
    bundle = shutil.copytree(finished / "bundle", tmp_path / "edge" / "bundle")
    assert twofour("build", bundle, "--quiet") == 0
    engine = tmp_path / "edge" / "engines" / "onnxruntime-cpu"
    assert twofour("profile", engine, "--seconds", 0.05, "--batch", 2, "--quiet") == 0
    capsys.readouterr()
    assert twofour("validate", bundle, "--max-drop", 1, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["agreement"]["predictions"] >= 0.95
    for path in (bundle, engine, bundle / "model.onnx"):
        assert twofour("inspect", path) == 0
        assert "body.0.conv1" in capsys.readouterr().out.replace("…", "body.0.conv1")
    assert twofour("profile", bundle / "model.onnx", "--seconds", 0.05, "--quiet") == 0


def lose(bundle):
    (bundle / "eval.npz").unlink()
    return "eval.npz"


def flip(bundle):
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 255
    (bundle / "model.onnx").write_bytes(content)
    return "model.onnx"


def forge(bundle, name):
    """Put the true hash of a changed file into the manifest, as an attacker would."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["files"][name] = sha256(bundle / name)
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    return name


def escape(bundle):
    (bundle.parent / "outside").write_text("x")
    return forge(bundle, "../outside")


def pickle(bundle):
    np.savez(bundle / "reference.npz", **{"inputs/x": np.array([{}], dtype=object)})
    return forge(bundle, "reference.npz")


def external(bundle):
    model = onnx.load(bundle / "model.onnx")
    onnx.external_data_helper.convert_model_to_external_data(model, location="w.bin", size_threshold=0)
    for tensor in onnx.external_data_helper._get_initializer_tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../secret"
        if tensor.external_data:
            tensor.raw_data = b""
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    return forge(bundle, "model.onnx")


@pytest.mark.parametrize(
    ("command", "harm"),
    [(command, harm) for command in ("build", "validate", "profile") for harm in (lose, flip, escape, external)]
    + [("validate", pickle), ("profile", pickle)],
)
def test_a_harmed_bundle_is_refused_by_every_command(twofour, capsys, finished, tmp_path, harm, command):
    bundle = shutil.copytree(finished / "bundle", tmp_path / "bundle")
    name = harm(bundle)
    said = refused(twofour, capsys, command, bundle, "--quiet")
    assert name.split("/")[-1] in said
    assert not list(tmp_path.rglob("engine.json")) or harm is pickle


def test_profile_and_validate_say_when_there_is_no_engine(twofour, capsys, tmp_path):
    assert "no engine" in refused(twofour, capsys, "validate", tmp_path)
    assert "none.onnx" in refused(twofour, capsys, "profile", tmp_path / "none.onnx")
    assert "none.onnx" in refused(twofour, capsys, "inspect", tmp_path / "none.onnx")


def test_inspect_fails_on_findings_that_are_as_bad_as_asked(twofour, capsys, finished):
    bundle = finished / "bundle"
    assert twofour("inspect", bundle, "--fail-on", "error", "--tensorrt", "10.12") == 0
    shown = capsys.readouterr().out
    assert "findings: " in shown
    assert "predictions, which only an engine proves" in shown
    assert "SPARSE005" in refused(twofour, capsys, "inspect", bundle, "--fail-on", "note", code=3)
    assert twofour("inspect", bundle, "--json", "--fail-on", "note") == 3
    found = json.loads(capsys.readouterr().out)
    assert {"id", "severity", "node", "text", "why", "fix"} == set(found["findings"][0])
    assert {layer["prediction"]["verdict"] for layer in found["layers"]} <= {"will run sparse", "may", "won't"}


def test_inspect_of_a_graph_that_the_parser_refuses(twofour, capsys, tmp_path):
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in ("x", "y")]
    node = onnx.helper.make_node("Unique", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "net", info[:1], info[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, str(tmp_path / "model.onnx"))
    assert twofour("inspect", tmp_path / "model.onnx") == 0
    assert "OPS001" in refused(twofour, capsys, "inspect", tmp_path / "model.onnx", "--fail-on", "error", code=3)


def test_inspect_says_what_it_does_not_know(twofour, capsys, tmp_path):
    assert "Known are 10.12" in refused(twofour, capsys, "inspect", tmp_path, "--tensorrt", "9.1")
    assert "no severity 'bad'" in refused(twofour, capsys, "inspect", tmp_path, "--fail-on", "bad")


def test_doctor_finds_what_is_there(twofour, capsys):
    assert twofour("doctor", "--json") == 0
    found = {item["name"]: item["state"] for item in json.loads(capsys.readouterr().out)}
    assert found["Python"] == found["onnxruntime"] == found["torch"] == "ok"


def test_a_bug_is_said_to_be_one(twofour, capsys, monkeypatch):
    import twofour.engines.doctor as doctor

    monkeypatch.setattr(doctor, "examine", lambda: 1 / 0)
    assert "This is a bug in twofour (ZeroDivisionError" in refused(twofour, capsys, "doctor", code=1)


def test_the_commands_that_a_report_prints_reproduce_it(twofour, run_copy, monkeypatch):
    from twofour.pipeline.report.collect import collect
    from twofour.pipeline.report.write import commands

    monkeypatch.chdir(run_copy)
    lines = [shlex.split(line) for _, line in commands(collect(run_copy))]
    assert {line[1] for line in lines} >= {"run", "train", "calibrate", "export", "build", "profile", "validate"}
    for program, *arguments in lines:
        assert program == "twofour"
        assert twofour(*arguments) == 0, arguments
