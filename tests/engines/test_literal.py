"""ONNX Runtime word for word, and only where it can be trusted to be so."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from twofour.common.errors import UserError
from twofour.engines import literal
from twofour.engines.literal import LiteralRunner


@pytest.fixture(params=[TensorProto.FLOAT16, TensorProto.FLOAT])
def quantizing(request, tmp_path):
    kind = request.param
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], "g",
        [helper.make_tensor_value_info("x", kind, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, ["n"])],
        [helper.make_tensor("s", kind, [], [0.5]), helper.make_tensor("z", TensorProto.INT8, [], [0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "g.onnx")
    return tmp_path / "g.onnx", helper.tensor_dtype_to_np_dtype(kind)


def test_a_runtime_that_quantizes_halves_wrongly_is_no_witness_for_them(quantizing, monkeypatch):
    path, dtype = quantizing
    monkeypatch.setattr(literal, "_halves_are_right", lambda: False)
    if dtype == np.float16:
        with pytest.raises(UserError, match="quantizes FP16 tensors wrongly"):
            LiteralRunner(path)
    else:
        assert LiteralRunner(path).infer({"x": np.array([1.0], dtype)})["y"] == [2]


def test_a_runtime_is_judged_by_what_it_answers(monkeypatch):
    class Wrong:
        def run(self, names, inputs):
            return [np.zeros(257, np.int8)]

    package = type("Package", (), {"InferenceSession": lambda *args, **options: Wrong()})
    monkeypatch.setattr(literal, "runtime", lambda: package)
    literal._halves_are_right.cache_clear()
    assert not literal._halves_are_right()
    literal._halves_are_right.cache_clear()


def test_what_is_run_is_right(quantizing):
    path, dtype = quantizing
    if dtype == np.float32 or literal._halves_are_right():
        assert LiteralRunner(path).infer({"x": np.array([1.0, -3.3], dtype)})["y"].tolist() == [2, -7]
    else:
        with pytest.raises(UserError, match="wrongly"):
            LiteralRunner(path)
