"""The parts of `scripts/gpu_check` that need no GPU."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "gpu_check"


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"gpu_check_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gemm():
    return loaded("gemm")


def test_without_a_gpu_it_says_what_is_missing_and_leaves_nothing(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    out = tmp_path / "found.json"
    command = [ROOT / "scripts" / "gpu_check", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "GPU" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()


def test_the_parts_below_the_engines_need_torch_alone():
    """A machine that is lent has PyTorch and perhaps nothing else of what twofour asks for."""
    code = (
        "import importlib.abc, sys\n"
        "class Bare(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('pydantic', 'onnx', 'onnxruntime', 'yaml', 'typer', 'jinja2', 'filelock'):\n"
        "            raise ModuleNotFoundError(name)\n"
        f"sys.meta_path.insert(0, Bare()); sys.path.insert(0, {str(FOLDER)!r})\n"
        "import surroundings, layer, gemm, engines, table\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_codes_are_two_four_and_dense_in_their_places(gemm):
    import torch

    codes = gemm.two_four(64, 128, torch.Generator().manual_seed(1)).numpy().reshape(-1, 4)
    assert codes.dtype == np.int8
    assert set(np.count_nonzero(codes, axis=1)) == {2}
    assert np.count_nonzero(codes, axis=0).min() > 0.4 * len(codes)


def test_every_shape_suits_the_int8_kernels(gemm):
    for shape in gemm.shapes():
        assert shape.tokens % 16 == shape.inside % 32 == shape.out % 32 == 0, shape
        assert shape.tokens > 16


@pytest.mark.parametrize(("tokens", "expected"), [(1, 32), (197, 208), (1576, 1584), (12608, 12608)])
def test_tokens_are_padded_to_sixteens(gemm, tokens, expected):
    assert gemm.padded(tokens) == expected


def row(size, verdict):
    ratio = {"speedup": 1.2, "low": 1.1, "high": 1.3, "verdict": verdict}
    pairs = {"fp16-sparse / fp16-dense": ratio, "int8-sparse / int8-dense": ratio,
             "int8-sparse-scaled / int8-dense": ratio}
    return {"layer": f"made up {size}", "tokens": size, "in": size, "out": size, "exact": True, "graph_speedup": pairs,
            "eager_speedup": pairs}


def test_the_crossover_is_where_sparse_begins_to_win_for_good(gemm):
    rows = [row(64, "faster"), row(128, "slower"), row(256, "faster"), row(512, "faster")]
    assert gemm.crossover(rows, "int8-sparse / int8-dense")["tokens"] == 256
    assert gemm.crossover(rows[::-1], "int8-sparse / int8-dense")["tokens"] == 256
    assert gemm.crossover([*rows, row(1024, "no difference")], "int8-sparse / int8-dense") is None


def test_the_table_says_what_was_done_and_what_was_not():
    gpu = {"name": "made up", "compute_capability": [9, 0], "memory_bytes": 2**34}
    machine = {"gpu": gpu, "packages": {"torch": "2.11"}, "torch_cuda": "13.0", "cusparselt": 800, "libnvinfer": []}
    results = json.loads(json.dumps({
        "machine": machine, "cuda layer": [{"name": "a check", "passed": False, "detail": "it | failed"}],
        "gemm": {"rows": [row(64, "no difference")], "crossover": {"graph": {"int8-sparse / int8-dense": None}}},
        "digits": {"code": 4, "error": "no modelopt"},
    }))
    page = loaded("table").page(results)
    assert "libnvinfer: none" in page
    assert "| a check | NO | it / failed |" in page
    assert "no difference (1.10 to 1.30)" in page
    assert "graph, int8-sparse / int8-dense: nowhere" in page
    assert "digits recipe on the GPU: not done (no modelopt)" in page
    assert "TensorRT: not done (no time was left)" in page


@pytest.fixture
def engines(monkeypatch):
    """The part on engines; `engines.asked` lists the commands, which do nothing but leave what they would write."""
    module = loaded("engines")
    module.asked = []

    def twofour(*arguments, limit):
        module.asked.append(arguments)
        out = Path(arguments[arguments.index("--out") + 1])
        out.mkdir(parents=True, exist_ok=True)
        if arguments[0] == "export":
            (out / "bundle").mkdir(exist_ok=True)
            return {"code": 0, "output": "", "error": ""}
        (out / "build.log").write_text("[INFO] (Sparsity) Found 2 layers\n[VERBOSE] conv of the sparse head\n")
        (out / "layers.json").write_text('{"Layers": [{"HasSparseWeights": 1}]}')
        layer = {"ran_sparse": "yes", "eligible": "yes", "kernel": "made up"}
        built = {"sparsity_log": [], "seconds": 1.0, "timing_cache": "new"}
        return {"code": 0, "output": json.dumps({"layers": [layer], "tensorrt": built}), "error": ""}

    monkeypatch.setattr(module, "twofour", twofour)
    return module


def test_every_way_to_build_is_tried_and_the_training_is_done_once(engines, tmp_path):
    assert engines.resnet50(tmp_path / "run", 60)["code"] == 0
    rows = engines.questions(tmp_path / "run", tmp_path / "variants", 60)
    assert [row["code"] for row in rows] == [0] * len(engines.VARIANTS)
    exports = [arguments for arguments in engines.asked if arguments[0] == "export"]
    assert len(exports) == 1 + sum(bool(variant.export) for variant in engines.VARIANTS)
    for arguments in exports[1:]:
        assert Path(arguments[arguments.index("--out") + 1], "recipe.yaml").is_file()  # the first run, copied
    assert rows[0]["wording"] == ["[INFO] (Sparsity) Found 2 layers"]
    assert rows[0]["has_sparse_weights"] == 1


def test_what_no_time_was_left_for_is_said(engines, tmp_path):
    (row, *_) = rows = engines.questions(tmp_path / "run", tmp_path / "variants", 1)
    assert (row["code"], row["error"]) == (None, "not done: no time was left")
    assert {row["variant"] for row in rows} == {variant.name for variant in engines.VARIANTS}
    assert engines.asked == []


def test_every_way_to_build_is_one_that_recipe_and_command_know(engines, tmp_path, capsys, monkeypatch):
    from twofour.cli import main
    from twofour.pipeline import recipe

    (tmp_path / "recipe.yaml").write_text(json.dumps(engines.RESNET50))
    for variant in engines.VARIANTS:
        assert recipe.load(tmp_path / "recipe.yaml", list(variant.export)).name == "resnet50-shaped"
    monkeypatch.setattr(sys, "argv", ["twofour", "build", "--help"])
    with pytest.raises(SystemExit):
        main()
    known = capsys.readouterr().out
    assert all(word in known for variant in engines.VARIANTS for word in variant.build if word.startswith("--"))


def test_the_table_shows_what_tensorrt_did():
    ratio = {"arm": "sparse-int8", "baseline": "dense-int8", "batch": 8, "speedup": 1.5, "low": 1.4, "high": 1.6,
             "verdict": "faster"}
    judged = {"profile": {"ratios": [ratio]}, "validation": {"findings": []}}
    row = {"variant": "refit", "code": 0, "error": "", "ran_sparse": 3, "eligible": 5, "unknown": 0, "layers": 54,
           "wording": ["[INFO] (Sparsity) Found 5 layers"], "has_sparse_weights": 54}
    found = {"digits": judged, "resnet50": {"profile": {"code": 4, "error": "no memory"}, "validation": {}},
             "questions": [row], "resnet50 bundle": {"code": 0, "error": ""}}
    page = loaded("table")._tensorrt(found)
    assert "TensorRT, digits; validation: no finding" in page
    assert "| sparse-int8 | dense-int8 | 8 | 1.50 (1.40 to 1.60) |" in page
    assert "TensorRT, resnet50, profile: not done (no memory)" in page
    assert "| refit | 3 | 5 | 0 | 54 |" in page
    assert "- [INFO] (Sparsity) Found 5 layers" in page
    bare = {"digits": judged, "resnet50 bundle": {"code": None, "error": "stopped after 3 s"}}
    assert "TensorRT, ResNet-50-shaped: not done (stopped after 3 s)" in loaded("table")._tensorrt(bare)
