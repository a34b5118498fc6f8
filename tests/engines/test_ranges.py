from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from twofour.common import bundle as bundles
from twofour.common.errors import UserError
from twofour.engines import ranges
from twofour.engines.ranges import largest_magnitudes


def write(path: Path, nodes, constants=(), shape=("batch", 3), outputs=("y",)) -> Path:
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", "m"]) for name in outputs],
        [numpy_helper.from_array(np.float32(value), name) for name, value in dict(constants).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    made.ir_version = 10
    onnx.save(made, str(path))
    return path


def node(*args, **attributes):
    op, inputs, outputs = args
    return helper.make_node(op, inputs, outputs, f"the {outputs[0]}", **attributes)


NODES = [node("Mul", ["x", "c"], ["a"]), node("Relu", ["a"], ["b"]), node("Cast", ["b"], ["i"], to=7),
         node("Neg", ["b"], ["y"]), node("Add", ["c", "c"], ["constant"])]


@pytest.mark.parametrize("limit", [1, 1 << 28])
def test_every_float_tensor_over_all_samples(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(ranges, "LIMIT_BYTES", limit)
    path = write(tmp_path / "m.onnx", NODES, {"c": 2})
    before = path.read_bytes()
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    x[57, 1] = -40
    x[99, 2] = 30
    found = largest_magnitudes(path, {"x": x})
    assert found == {"x": 40, "a": 80, "b": 60, "y": 60}
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_only_what_is_asked(tmp_path):
    path = write(tmp_path / "m.onnx", NODES, {"c": 2})
    assert largest_magnitudes(path, {"x": np.ones((2, 3), np.float32)}, ["b"]) == {"b": 2}


def test_batches_are_small(tmp_path, monkeypatch):
    real, sizes = ranges.open_session, []

    class Watched:
        def __init__(self, *args):
            self.session = real(*args)

        def __getattr__(self, name):
            return getattr(self.session, name)

        def run(self, names, inputs):
            sizes.append(len(inputs["x"]))
            return self.session.run(names, inputs)

    monkeypatch.setattr(ranges, "open_session", Watched)
    monkeypatch.setattr(ranges, "LIMIT_BYTES", 5 * 3 * 3 * 4)
    largest_magnitudes(write(tmp_path / "m.onnx", NODES, {"c": 2}), {"x": np.ones((12, 3), np.float32)})
    assert sizes == [1, 5, 5, 1]


def test_a_fixed_batch_is_filled_up(tmp_path):
    path = write(tmp_path / "m.onnx", NODES, {"c": 2}, shape=(4, 3))
    x = np.ones((6, 3), np.float32)
    x[5] = 9
    assert largest_magnitudes(path, {"x": x})["a"] == 18


@pytest.mark.parametrize(("value", "word"), [(np.inf, "infinite"), (np.nan, "NaN")])
def test_an_input_that_is_not_finite(tmp_path, value, word):
    x = np.ones((2, 3), np.float32)
    x[1, 1] = value
    with pytest.raises(UserError, match=f"'x' holds {word}"):
        largest_magnitudes(write(tmp_path / "m.onnx", NODES, {"c": 2}), {"x": x})


def test_the_node_that_overflows_is_named(tmp_path):
    nodes = [node("Mul", ["x", "c"], ["a"]), node("Exp", ["a"], ["b"]), node("Sub", ["b", "b"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, {"c": 2})
    with pytest.raises(UserError, match=r"'the b' \(Exp\) makes infinite"):
        largest_magnitudes(path, {"x": np.full((1, 3), 1000, np.float32)})
    with pytest.raises(UserError, match=r"'the y' \(Log\) makes NaN"):
        largest_magnitudes(write(path, [node("Log", ["x"], ["y"])]), {"x": np.full((1, 3), -1, np.float32)})


def test_a_mask_of_infinities_is_no_fault(tmp_path):
    nodes = [node("Add", ["x", "mask"], ["a"]), node("Softmax", ["a"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, {"mask": [0, 0, -np.inf]})
    assert largest_magnitudes(path, {"x": np.full((1, 3), 7, np.float32)}) == {"x": 7, "a": 7, "y": 0.5}


def test_bad_inputs_are_explained(tmp_path):
    path = write(tmp_path / "m.onnx", NODES, {"c": 2})
    with pytest.raises(UserError, match="can't run these inputs"):
        largest_magnitudes(path, {"x": np.ones((2, 4), np.float32)})
    with pytest.raises(UserError, match="no sample"):
        largest_magnitudes(path, {"x": np.ones((0, 3), np.float32)})
    with pytest.raises(UserError, match="missing"):
        largest_magnitudes(tmp_path / "none.onnx", {"x": np.ones((2, 3), np.float32)})


def test_a_quantized_network(bundle, network):
    x = bundles.read(bundle).arrays(bundles.REFERENCE, "inputs")["x"]
    found = largest_magnitudes(bundle / "model.onnx", {"x": x})
    tensors, logits = network.pytorch(x)
    assert {"fc1", "relu", "fc2.input_quantizer", "logits"} < set(found)
    assert "fc1.weight_quantizer" not in found
    assert found["fc2.input_quantizer"] == pytest.approx(np.abs(tensors["fc2.input_quantizer"]).max(), rel=0.02)
    assert found["logits"] == pytest.approx(np.abs(logits).max(), rel=0.02)
