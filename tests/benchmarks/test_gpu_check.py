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
    assert not out.exists()


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
