from __future__ import annotations

import sys

import numpy as np
import pytest

from twofour.common.agreement import snr_db
from twofour.common.errors import MissingError
from twofour.common.machine import usable_cores
from twofour.engines.onnxruntime.backend import backend
from twofour.engines.onnxruntime.session import open_session


@pytest.fixture
def path(tmp_path, tools):
    graph = tools.Graph()
    graph.op("Relu", ["x"], "y")
    (tmp_path / "m.onnx").write_bytes(graph.model((8,)).SerializeToString())
    return tmp_path / "m.onnx"


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (3, 3), (None, usable_cores())])
def test_threads(path, threads, expected):
    assert open_session(path, threads).get_session_options().intra_op_num_threads == expected


def test_writes_the_graph_that_runs(path, tmp_path):
    open_session(path, 1, tmp_path / "optimized.onnx")
    assert (tmp_path / "optimized.onnx").stat().st_size > 0


def test_a_missing_package_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingError, match="pip install"):
        backend.device()


def test_answers(path):
    x = np.float32([[-1, 2, 0, 0, 0, 0, 0, 0]])
    assert np.array_equal(open_session(path, 1).run(None, {"x": x})[0], np.maximum(x, 0))


@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_float_inputs_of_quantized_weights_stay_float(tmp_path, tools, kind):
    graph = tools.Graph()
    codes = graph.const("codes", graph.random.integers(-127, 128, (64, 16)).astype(np.int8))
    rest = [graph.const("scale", np.full(16, 0.01, np.float32)), graph.const("zero", np.zeros(16, np.int8))]
    graph.op(kind, ["x", graph.op("DequantizeLinear", [codes, *rest], "w", axis=1)], "y")
    (tmp_path / "m.onnx").write_bytes(graph.model((64,)).SerializeToString())
    x = graph.random.standard_normal((8, 64)).astype(np.float32)
    answers = [open_session(tmp_path / "m.onnx", 1, plain=plain).run(None, {"x": x})[0] for plain in (True, False)]
    ratio = snr_db(*answers)
    assert ratio is None or ratio > 100
