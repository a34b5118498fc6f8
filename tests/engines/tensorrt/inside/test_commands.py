"""The commands of an edge machine, where torch can't be imported: exit codes and words."""

from __future__ import annotations

import json
import sys

import onnx
import pytest
from onnx import helper

from twofour.common import bundle as bundles
from twofour.common import files


@pytest.fixture
def twofour(gpu, capsys):
    """Run a command; gives exit code, standard output and standard error."""
    from twofour.cli import main

    def run(*arguments):
        sys.argv = ["twofour", *map(str, arguments)]
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    before = sys.argv
    yield run
    sys.argv = before
    assert not {"torch", "modelopt"} & set(sys.modules)


def build(twofour, bundle, *options):
    return twofour("build", bundle, "--backend", "tensorrt", *options)


def test_build_tells_what_ran_sparse_and_the_same_by_trtexec(twofour, trt_bundle, gpu):
    code, out, err = build(twofour, trt_bundle)
    assert code == 0, err
    assert "weighted layers run sparse" in out
    assert "the same by trtexec: trtexec --onnx=typed.onnx" in out
    assert (trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}" / "engine.json").is_file()


def test_build_takes_its_options(twofour, trt_bundle, trt):
    code, _, err = build(twofour, trt_bundle, "--no-sparse", "--shape", "x=2x64:3x64:4x64", "--workspace-mib", "64",
                         "--timing-cache", "off", "--version-compatible")
    assert code == 0, err
    (done,) = trt.double.builds
    assert done["flags"] == ["TF32", "VERSION_COMPATIBLE"]
    assert done["profiles"] == [{"x": ((2, 64), (3, 64), (4, 64))}]


def test_inspect_and_doctor(twofour, trt_bundle, gpu):
    build(twofour, trt_bundle)
    code, out, err = twofour("inspect", trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}", "--json")
    assert code == 0, err
    assert {layer["name"] for layer in json.loads(out)["layers"]} == {"fc1", "fc2"}
    assert twofour("doctor")[0] == 0


@pytest.mark.parametrize(("options", "code", "words"), [
    (["--min-batch", "1", "--opt-batch", "8", "--max-batch", "4"], 2, "min_batch <= opt_batch <= max_batch"),
    (["--shape", "y=1x64"], 2, "which the model doesn't have"),
    (["--shape", "x=1x64x64"], 2, "have 3 dimensions; it has 2"),
    (["--shape", "x=4x64:2x64:1x64"], 2, "min <= opt <= max"),
    (["--shape", "x=1x32"], 2, "is 64 in the model, and can't be 32"),
    (["--dla-core", "0"], 4, "DLA"),
])
def test_options_that_can_not_be(twofour, trt_bundle, options, code, words):
    ended, _, err = build(twofour, trt_bundle, *options)
    assert (ended, words in err) == (code, True), err
    assert "Traceback" not in err


@pytest.mark.parametrize(("how", "code"), [("out of memory", 4), ("null", 2), ("raises", 2)])
def test_builds_that_fail(twofour, trt_bundle, trt, how, code):
    trt.double.fail_build = how
    ended, out, err = build(twofour, trt_bundle)
    assert ended == code
    assert out == ""
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in err


def test_a_graph_that_the_parser_refuses(twofour, trt_bundle):
    model = onnx.load(trt_bundle / "model.onnx")
    made = ["strange", "scale", "zero"]
    model.graph.node.append(helper.make_node("DynamicQuantizeLinear", ["logits"], made, name="body.dynamic"))
    model.graph.output.append(helper.make_tensor_value_info("strange", onnx.TensorProto.UINT8, [None, 10]))
    onnx.save(model, trt_bundle / "model.onnx")
    manifest = json.loads((trt_bundle / bundles.MANIFEST).read_text())
    manifest["files"]["model.onnx"] = files.sha256(trt_bundle / "model.onnx")
    files.write_json(trt_bundle / bundles.MANIFEST, manifest)
    ended, _, err = build(twofour, trt_bundle)
    assert ended == 2
    assert "node 'body.dynamic' (DynamicQuantizeLinear): No importer" in err


def test_another_bundle(twofour, trt_bundle, gpu):
    build(twofour, trt_bundle)
    manifest = json.loads((trt_bundle / bundles.MANIFEST).read_text())
    files.write_json(trt_bundle / bundles.MANIFEST, manifest | {"name": "another"})
    ended, _, err = twofour("validate", trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}")
    assert ended == 2
    assert "built from another bundle" in err


def test_a_plan_of_someone_else(twofour, trt_bundle, gpu, monkeypatch, tmp_path):
    build(twofour, trt_bundle)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "someone else"))
    ended, _, err = twofour("validate", trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}")
    assert ended == 2
    assert "--trust" in err


def test_no_gpu(twofour, trt_bundle, cuda):
    cuda.devices = []
    ended, _, err = build(twofour, trt_bundle)
    assert ended == 4
    assert "Traceback" not in err


def test_no_tensorrt(twofour, trt_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    ended, _, err = build(twofour, trt_bundle)
    assert ended == 4
    assert "pip install 'twofour[tensorrt]'" in err
