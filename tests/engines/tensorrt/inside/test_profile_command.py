"""`twofour profile` on an edge machine: a bundle, an engine, a plan, an ONNX file; exit codes and words."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

QUICK = ("--seconds", "0.01", "--batch", "8")


@pytest.fixture
def twofour(gpu, trt, capsys):
    """Run a command; gives exit code, standard output and standard error."""
    from twofour.cli import main

    trt.double.run = lambda model, inputs, names: {name: np.zeros((len(inputs["x"]), 10), np.float32) for name in names}
    trt.double.run_ms = lambda header: 5.0 if "SPARSE_WEIGHTS" in header["flags"] else 10.0

    def run(*arguments):
        sys.argv = ["twofour", *map(str, arguments)]
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    before = sys.argv
    yield run
    sys.argv = before
    assert not {"torch", "modelopt"} & set(sys.modules)


@pytest.fixture
def engine(twofour, trt_bundle, gpu):
    assert twofour("build", trt_bundle, "--backend", "tensorrt")[0] == 0
    return trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}"


def test_a_bundle_is_built_and_profiled_beside_its_arms(twofour, trt_bundle, gpu):
    code, out, err = twofour("profile", trt_bundle, "--backend", "tensorrt", "--rebuilds", "2", "--json", *QUICK)
    assert code == 0, err
    record = json.loads(out)
    assert [row["arm"] for row in record["latencies"]] == [
        "sparse-int8", "dense-fp16", "dense-int8", "sparse-int8-flag-off",
    ]
    folder = trt_bundle.parent / "engines" / f"tensorrt-{gpu.slug}"
    assert json.loads((folder / "profile" / "profile.json").read_text()) == record
    assert len(list((folder / "arms").glob("*.plan"))) == 7


@pytest.mark.one_release
def test_the_table_says_what_the_engine_is_against_each_arm(twofour, engine):
    arms = ("--arm", "dense-fp16", "--arm", "sparse-int8-flag-off")
    code, out, err = twofour("profile", engine, "--rebuilds", "2", *arms, *QUICK)
    assert code == 0, err
    assert "against it" in " ".join(out.split())
    assert "2.00" in out


@pytest.mark.one_release
def test_one_build_of_each_is_warned_of(twofour, engine):
    code, out, err = twofour("profile", engine, "--rebuilds", "1", "--arm", "sparse-int8-flag-off", *QUICK)
    assert code == 0, err
    assert "no arm can be called faster" in err
    assert "unknown" in out


def test_a_deployed_plan(twofour, engine, tmp_path):
    path = tmp_path / "deployed.plan"
    path.write_bytes((engine / "engine.plan").read_bytes())
    code, _, err = twofour("profile", path, "--backend", "tensorrt", *QUICK)
    assert (code, "--trust" in err) == (2, True)
    code, out, err = twofour("profile", path, "--backend", "tensorrt", "--trust", *QUICK)
    assert code == 0, err
    assert "deployed" in out


@pytest.mark.one_release
def test_an_onnx_file(twofour, trt_bundle):
    code, out, err = twofour("profile", trt_bundle / "model.onnx", "--backend", "tensorrt", *QUICK)
    assert code == 0, err
    assert "model" in out


@pytest.mark.one_release
@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["--batch", "65"], 2, "a batch of 65; the engine takes 1 to 64"),
    (["--arm", "sparse"], 2, "sparse"),
    (["--rebuilds", "0"], 2, "rebuilds"),
])
def test_what_can_not_be(twofour, engine, arguments, code, words):
    ended, out, err = twofour("profile", engine, "--seconds", "0.01", *arguments)
    assert (ended, out) == (code, "")
    assert words in err, err


@pytest.mark.one_release
def test_no_memory_for_the_arms(twofour, engine, trt):
    trt.double.fail_build = "out of memory"
    code, _, err = twofour("profile", engine, *QUICK)
    assert (code, "ran out of memory" in err) == (4, True)


@pytest.mark.one_release
def test_no_memory_to_run_them(twofour, engine, cuda):
    cuda.fail("cudaMalloc", at=3)
    code, _, err = twofour("profile", engine, "--rebuilds", "1", *QUICK)
    assert (code, "don't fit into the GPU" in err) == (4, True)
