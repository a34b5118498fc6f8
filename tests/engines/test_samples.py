from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from twofour.common.errors import UserError
from twofour.engines.samples import batch_of, random_inputs


@given(have=st.integers(1, 9), batch=st.integers(1, 30))
def test_samples_are_repeated_or_cut_to_the_batch(have, batch):
    made = batch_of({"x": np.arange(have * 2).reshape(have, 2)}, batch)["x"]
    assert made.shape == (batch, 2)
    assert [row[0] // 2 for row in made] == [index % have for index in range(batch)]


def test_a_number_stays_as_it_is_and_nothing_is_refused():
    assert batch_of({"t": np.float32(3) * np.ones(())}, 4)["t"].shape == ()
    with pytest.raises(UserError, match="'x' holds no sample"):
        batch_of({"x": np.zeros((0, 3))}, 2)


@pytest.fixture
def path(tmp_path):
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "sequence"]),
        helper.make_tensor_value_info("mask", TensorProto.BOOL, ["batch", 5]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["batch", 3, "h"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["batch", 3, "h"])]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", inputs, outputs)
    onnx.save(helper.make_model(graph), str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


def test_random_inputs_have_the_declared_shapes_and_dtypes(path):
    made = random_inputs(path, 4, {"x": [1, 3, 7]})
    assert {name: (value.dtype, value.shape) for name, value in made.items()} == {
        "ids": (np.int64, (4, 1)), "mask": (np.bool_, (4, 5)), "x": (np.float16, (4, 3, 7)),
    }
    assert set(np.unique(made["ids"])) <= {0, 1}
    again = random_inputs(path, 4, {"x": [1, 3, 7]})
    assert all(np.array_equal(made[name], again[name]) for name in made)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [({"y": [1]}, "no input 'y'"), ({"x": [1, 4, 7]}, "can't have the shape"), ({"x": [1, 3]}, "can't have the shape")],
)
def test_a_shape_that_contradicts_the_file_is_refused(path, shapes, message):
    with pytest.raises(UserError, match=message):
        random_inputs(path, 1, shapes)


def test_a_fixed_batch_is_named(tmp_path):
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])),
              str(tmp_path / "m.onnx"))
    assert random_inputs(tmp_path / "m.onnx", 2, {})["x"].shape == (2, 3)
    with pytest.raises(UserError, match="fixed to a batch of 2; 8 was asked for"):
        random_inputs(tmp_path / "m.onnx", 8, {})


@pytest.mark.parametrize("content", [None, b"", b"not a model at all", b"\x08\x0a"])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(UserError):
        random_inputs(tmp_path / "m.onnx", 1, {})
