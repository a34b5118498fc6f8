"""What the parser is given, and what is made of its refusals."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from twofour.common.bundle import Tensor
from twofour.common.errors import UserError
from twofour.engines.config import TensorRTConfig
from twofour.engines.tensorrt.build_plan import build_plan
from twofour.engines.tensorrt.logger import Log, logger
from twofour.engines.tensorrt.network import parse

INPUTS = [Tensor(name="x", dtype="float32", shape=["batch", 64])]


@pytest.fixture
def read(trt, tmp_path, sparse_network):
    """Parse the network after `change` was made to it."""

    def run(change=lambda model: None, inputs=INPUTS, data=None):
        model = sparse_network.onnx()
        change(model)
        path = tmp_path / "typed.onnx"
        onnx.save(model, str(path), save_as_external_data=data is not None, location=data, size_threshold=0)
        log = Log()
        speaker = logger(log)
        return parse(trt.Builder(speaker), path, inputs, log, speaker)

    return run


def stored(model, name):
    return next(one for one in model.graph.initializer if one.name == name)


def test_a_network_and_the_parser_that_holds_its_weights(read, trt):
    network, parser = read()
    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert network.get_input(0).name == "x"
    assert parser.get_flag(trt.OnnxParserFlag.NATIVE_INSTANCENORM)


def test_weights_in_a_file_beside_the_model(read):
    network, _ = read(data="typed.onnx.data")
    assert network.num_inputs == 1


@pytest.mark.parametrize(("change", "node", "words", "fix"), [
    (lambda model: stored(model, "fc1.input_quantizer/scale").CopyFrom(
        numpy_helper.from_array(np.float32(0), "fc1.input_quantizer/scale")),
     "fc1.input_quantizer/QuantizeLinear", "must all be positive", "calibration saw only zeros"),
    (lambda model: stored(model, "fc2.input_quantizer/zero_point").CopyFrom(
        numpy_helper.from_array(np.int8(3), "fc2.input_quantizer/zero_point")),
     "fc2.input_quantizer/QuantizeLinear", "symmetric", "quantize the model symmetrically"),
])
def test_quantizers_that_tensorrt_refuses(read, change, node, words, fix):
    with pytest.raises(UserError) as caught:
        read(change)
    assert f"node '{node}' (QuantizeLinear): " in caught.value.what
    assert words in caught.value.what
    assert fix in caught.value.fix


@pytest.mark.parametrize(("error", "shown", "fix"), [
    ({"code": "UNSUPPORTED_NODE", "desc": "No importer registered for op: Frob", "node_name": "body.0",
      "node_operator": "Frob", "node": 3}, "node 'body.0' (Frob): No importer registered for op: Frob",
     "no such operator"),
    ({"code": "UNSUPPORTED_GRAPH", "desc": "Unsupported opset 99", "node": -1, "node_name": "", "node_operator": ""},
     "Unsupported opset 99", "Export with an opset"),
    ({"code": "INVALID_NODE", "desc": "strange\n  things.", "node_name": "", "node_operator": "Add", "node": 7},
     "node number 7 (Add): strange things", "Replace this node"),
])
def test_refusals(read, trt, error, shown, fix):
    trt.double.parse_errors = [error]
    with pytest.raises(UserError) as caught:
        read()
    assert shown in caught.value.what
    assert fix in caught.value.fix
    assert "\n" not in str(caught.value)


def test_every_error_is_told_once_and_many_are_counted(read, trt):
    def error(number):
        return {"code": "UNSUPPORTED_NODE", "desc": "No importer registered for op: Frob", "node_name": f"n{number}",
                "node_operator": "Frob", "node": number}

    trt.double.parse_errors = [error(number) for number in range(8)] + [error(0)]
    with pytest.raises(UserError) as caught:
        read()
    assert [f"'n{number}'" in caught.value.what for number in range(8)] == [True] * 5 + [False] * 3
    assert "and 3 more" in caught.value.what
    assert caught.value.fix.count("no such operator") == 1


def test_a_file_that_is_no_onnx(trt, gpu, tmp_path):
    (tmp_path / "typed.onnx").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="can't read this model"):
        build_plan(tmp_path / "typed.onnx", INPUTS, TensorRTConfig())


def test_inputs_that_were_not_declared(read):
    with pytest.raises(UserError, match="has the inputs 'x'; declared are 'image'"):
        read(inputs=[Tensor(name="image", dtype="float32", shape=["batch", 64])])
