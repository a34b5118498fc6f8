"""From a bundle to an engine folder, and what a failed or canceled build leaves."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace

import onnx
import pytest

from twofour.common import bundle as bundles
from twofour.common.bundle import Tensor
from twofour.common.errors import MissingError, UserError
from twofour.engines.config import ShapeRange, TensorRTConfig
from twofour.engines.records import ENGINE, read_engine
from twofour.engines.tensorrt import cancel
from twofour.engines.tensorrt.build import build_engine
from twofour.engines.tensorrt.build_plan import build_plan


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "engines" / "tensorrt-gpu"


@pytest.fixture
def build(gpu, trt_bundle, folder):
    def run(**options):
        return build_engine(bundles.read(trt_bundle), TensorRTConfig(**options), folder)

    return run


def major(trt):
    return int(trt.__version__.split(".")[0])


def test_an_engine_folder(trt, build, folder, gpu):
    record = build()
    assert record == read_engine(folder)
    assert set(record.files) == {"typed.onnx", "engine.plan", "layers.json", "build.log"}
    assert record.baseline is None
    assert record.engine == "engine.plan"
    assert json.loads((folder / "layers.json").read_text())["Layers"]
    assert "due to dynamic shapes" not in (folder / "layers.json").read_text()
    assert "(Sparsity)" in (folder / "build.log").read_text() or major(trt) == 11
    onnx.checker.check_model(str(folder / "typed.onnx"))


def test_how_it_was_built_is_on_record(trt, build, gpu):
    built = build(opt_batch=4).tensorrt
    assert built.version == trt.__version__
    assert built.gpu["name"] == gpu.name
    assert built.gpu["uuid"] == gpu.uuid
    assert built.shapes == {"x": ShapeRange(min=[1, 64], opt=[4, 64], max=[64, 64])}
    assert built.timing_cache == "new"
    assert built.trtexec.startswith("trtexec --onnx=typed.onnx")
    assert ("--stronglyTyped" in built.trtexec) == (major(trt) == 10)
    assert built.seconds > 0
    assert built.out_of_memory == []


def test_the_network_is_strongly_typed_and_nothing_asks_for_a_precision(trt, build):
    build()
    (done,) = trt.double.builds
    assert done["network_flags"] == ["STRONGLY_TYPED"]
    assert done["flags"] == ["SPARSE_WEIGHTS", "TF32"]
    assert done["verbosity"] == "DETAILED"
    assert done["monitored"]
    assert done["timing_cache"]


def test_options_reach_the_builder(trt, build):
    build(sparse=False, tf32=False, refit=True, version_compatible=True, workspace_mib=512, optimization_level=5,
          hardware_compatibility="ampere_plus", min_batch=2, opt_batch=3, max_batch=4, timing_cache="off")
    (done,) = trt.double.builds
    assert done["flags"] == ["REFIT", "VERSION_COMPATIBLE"]
    assert (done["level"], done["hardware"]) == (5, "AMPERE_PLUS")
    assert done["pools"] == {"WORKSPACE": 512 << 20}
    assert done["profiles"] == [{"x": ((2, 64), (3, 64), (4, 64))}]
    assert not done["timing_cache"]


def test_the_typed_graph_is_what_tensorrt_parsed(trt, build, folder):
    build(rest="fp16")
    assert trt.double.parsed == [(folder / "typed.onnx").read_bytes()]
    scales = [one for one in onnx.load(folder / "typed.onnx").graph.initializer if one.name.endswith("/scale")]
    assert onnx.TensorProto.FLOAT16 in {one.data_type for one in scales}


def test_sparse_layers_are_told_from_dense_ones(trt, build):
    record = build()
    verdicts = {layer.name: layer.verdict for layer in record.layers}
    assert set(verdicts) == {"fc1", "fc2"}
    assert verdicts["fc2"] == "not eligible"
    assert any(note.endswith("weighted layers run on integers; the rest is fp16") for note in record.notes)
    sparse = sum(verdict == "ran sparse" for verdict in verdicts.values())
    assert record.notes[0].startswith(f"{sparse} of 2 weighted layers run sparse")


@pytest.mark.parametrize(("how", "error", "words"), [
    ("out of memory", MissingError, "ran out of memory"),
    ("null", UserError, "Could not find any implementation for node fc1"),
    ("raises", UserError, "the builder failed"),
])
def test_a_build_that_fails_leaves_no_engine_but_its_log(trt, build, folder, how, error, words):
    build()
    (folder / "build.log").unlink()
    trt.double.fail_build = how
    with pytest.raises(error, match=words):
        build()
    assert not (folder / ENGINE).exists()
    assert (folder / "build.log").is_file()
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.one_release
def test_a_release_without_an_inspector_leaves_the_kernels_unknown(build, monkeypatch, capsys):
    from twofour.engines.tensorrt import builder_config, engine_layers

    lacking = replace(engine_layers.capabilities(), details=False)
    for module in (builder_config, engine_layers):
        monkeypatch.setattr(module, "capabilities", lambda: lacking)
    layers = {layer.name: layer for layer in build().layers}
    assert layers["fc1"].ran_sparse == "unknown"
    assert "no engine inspector" in capsys.readouterr().err


def test_without_a_context_less_is_known_of_the_layers(trt, build, capsys):
    trt.double.fail_context = True
    assert {layer.name for layer in build().layers} == {"fc1", "fc2"}
    assert "no execution context" in capsys.readouterr().err


def test_memory_short_is_said_of_a_plan_that_was_built_all_the_same(trt, build, capsys):
    trt.double.fail_build = "skips tactics"
    record = build()
    assert len(record.tensorrt.out_of_memory) >= 1
    assert any("no basis for claims" in note for note in record.notes)
    said = capsys.readouterr().err
    assert "Memory was short" in said
    assert "free GPU memory" in said
    build(workspace_mib=16)
    assert "more with --workspace-mib" in capsys.readouterr().err


def test_errors_of_a_plan_that_was_built_all_the_same_are_shown(trt, build, capsys):
    trt.double.log_lines = [("ERROR", "something is odd")]
    build()
    assert "warning: TensorRT: something is odd" in capsys.readouterr().err


@pytest.fixture
def heard():
    """Ctrl-C is heard, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_cancels_at_the_next_step(trt, build, folder, monkeypatch):
    steps, said, answered = [], [], threading.Event()

    def interrupt(phase, step):
        steps.append(threading.current_thread() is threading.main_thread())
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            assert answered.wait(5)

    monkeypatch.setattr(cancel.console, "say", lambda text: (said.append(text), answered.set()))
    trt.double.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        build()
    assert steps == [False, False]
    assert said[0].startswith("Stopping")
    assert not (folder / ENGINE).exists()
    assert not (folder / "engine.plan").exists()
    assert not list(folder.glob(".*"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    trt.double.on_step = None
    assert build().engine == "engine.plan"


@pytest.mark.one_release
@pytest.mark.usefixtures("heard")
def test_ctrl_c_while_the_model_is_read_starts_no_build(trt, gpu, tmp_path, sparse_network):
    (tmp_path / "typed.onnx").write_bytes(sparse_network.onnx().SerializeToString())
    inputs = [Tensor(name="x", dtype="float32", shape=["batch", 64])]

    def interrupt(network):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        build_plan(tmp_path / "typed.onnx", inputs, TensorRTConfig(), on_network=interrupt)
    assert [text for _, text in trt.double.logged if "canceled" in text] == []


def test_a_shape_that_does_not_suit_is_said_before_anything_is_touched(build, folder, trt):
    build()
    with pytest.raises(UserError, match="which the model doesn't have"):
        build(shapes={"y": {"min": [1], "opt": [1], "max": [1]}})
    assert (folder / ENGINE).exists()
    assert len(trt.double.builds) == 1


def test_dla_is_refused_with_a_reason(build, trt):
    with pytest.raises(MissingError, match=r"11\.4\.1"):
        build(dla_core=0)


def test_hardware_compatibility_needs_ampere(build, cuda, trt):
    cuda.compute_capability = trt.double.compute_capability = (7, 5)
    with pytest.raises(MissingError, match="older than Ampere"):
        build(hardware_compatibility="ampere_plus")


def test_an_unwritable_key_folder_leaves_the_plan_unsigned(build, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert build().tensorrt.signature == ""
    assert "--trust" in capsys.readouterr().err


def test_two_builds_share_what_they_learned(build, trt):
    assert build().tensorrt.timing_cache == "new"
    assert build().tensorrt.timing_cache == "used"


def test_all_is_released(build, trt):
    build()
    assert (trt.double.engines, trt.double.contexts) == (0, 0)

