"""Files that are damaged, hostile, or only odd: an answer in words from every command that reads one."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from twofour.common.errors import UserError
from twofour.engines.commands import profile_target
from twofour.engines.config import OnnxRuntimeConfig, ProfileConfig
from twofour.engines.inspect import inspect

QUICK = ProfileConfig(batch=[1], seconds=0.05)


def value(name: str, shape: Any = None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: Any = ("batch", 8), **extra: Any) -> Any:
    graph = helper.make_graph(nodes, "g", [value("x", shape), *extra.pop("inputs", [])],
                              [value("y", extra.pop("output", ("batch", 8)))],
                              [numpy_helper.from_array(array, name) for name, array in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", extra.pop("opset", 21)),
                                                   helper.make_opsetid("mine", 1)], ir_version=10, **extra)


def linear() -> Any:
    return model([helper.make_node("MatMul", ["x", "w"], ["y"], "fc")], {"w": np.ones((8, 8), np.float32)})


def truncated(path: Path) -> None:
    path.write_bytes(linear().SerializeToString()[:150])


def not_onnx(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n" + bytes(range(200)))


def saved(path: Path, proto: Any) -> None:
    path.write_bytes(proto.SerializeToString())


def future(path: Path) -> None:
    proto = linear()
    proto.opset_import[0].version = 99
    saved(path, proto)


def future_ir(path: Path) -> None:
    proto = linear()
    proto.ir_version = 99
    saved(path, proto)


def no_outputs(path: Path) -> None:
    proto = linear()
    del proto.graph.output[:]
    saved(path, proto)


def petabytes(path: Path) -> None:
    proto = linear()
    proto.graph.initializer[0].dims[:] = [1 << 25, 1 << 25]
    saved(path, proto)


def petabytes_outside(path: Path) -> None:
    proto = linear()
    external(proto, "model.data", length=str(1 << 52))
    proto.graph.initializer[0].dims[:] = [1 << 25, 1 << 25]
    path.with_name("model.data").write_bytes(bytes(256))
    saved(path, proto)


def external(proto: Any, location: str, **entries: str) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, entry in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=entry)


def itself(path: Path) -> None:
    proto = linear()
    external(proto, path.name)
    saved(path, proto)


def circle(path: Path) -> None:
    path.with_name("a").symlink_to(path.with_name("b"))
    path.with_name("b").symlink_to(path.with_name("a"))
    proto = linear()
    external(proto, "a")
    saved(path, proto)


def escaping(path: Path) -> None:
    proto = linear()
    external(proto, "../../../../etc/passwd")
    saved(path, proto)


def no_text(path: Path) -> None:
    proto = linear()
    external(proto, "a\0b")
    saved(path, proto)


def wrong_size(path: Path) -> None:
    proto = linear()
    external(proto, "model.data", length="100")
    path.with_name("model.data").write_bytes(bytes(100))
    saved(path, proto)


def linked(path: Path) -> None:
    path.with_name("secret").write_bytes(bytes(256))
    path.with_name("model.data").hardlink_to(path.with_name("secret"))
    proto = linear()
    external(proto, "model.data")
    saved(path, proto)


def twice(path: Path) -> None:
    proto = linear()
    proto.graph.node.append(proto.graph.node[0])
    saved(path, proto)


def deep(path: Path) -> None:
    """A graph in a node in a graph, a thousand times; no library would write such a file."""
    graph = b""
    for _ in range(1000):
        graph = field(1, field(5, field(6, graph)))
    path.write_bytes(linear().SerializeToString() + field(7, graph))


def field(number: int, payload: bytes) -> bytes:
    """A message in a message, as protobuf writes it."""
    size, rest = bytearray(), len(payload)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *size, rest]) + payload


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (truncated, "not ONNX, or is damaged"), (not_onnx, "not ONNX"), (future, "opset 99"), (future_ir, "IR version 99"),
    (no_outputs, "no output"), (petabytes, "needs 4503599627370496 bytes but holds 256"),
    (petabytes_outside, "too short"), (itself, "model's own file"), (circle, "missing"), (escaping, "leads out of"),
    (no_text, "leads out of"), (wrong_size, "its shape needs 256"), (linked, "hard links"), (twice, "rules of ONNX"),
    (deep, "nested too deeply"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_what_can_t_be_used_is_refused_in_words(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with pytest.raises(UserError, match=words):
        inspect(path)
    with pytest.raises(UserError, match=words):
        profile_target(path, QUICK, OnnxRuntimeConfig())
    assert time.perf_counter() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


@pytest.mark.parametrize("make", [truncated, petabytes, escaping])
@pytest.mark.parametrize("command", ["inspect", "profile"])
def test_the_commands_end_with_2_and_one_paragraph(
    twofour: Any, capsys: Any, tmp_path: Path, make: Callable[[Path], None], command: str
) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    assert twofour(command, str(path)) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    assert "model.onnx" in said.err


def test_dynamic_weights_are_no_layers_of_the_table(tmp_path: Path) -> None:
    saved(tmp_path / "m.onnx", model([helper.make_node("MatMul", ["x", "w"], ["y"], "fc")], {},
                                     inputs=[value("w", (8, 8))]))
    assert inspect(tmp_path / "m.onnx").layers == []


def test_a_weight_of_two_layers_is_judged_at_each(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"], "one"), helper.make_node("MatMul", ["m", "w"], ["y"], "two")]
    saved(tmp_path / "m.onnx", model(nodes, {"w": np.zeros((8, 8), np.float32)}))
    assert [(layer.name, layer.two_four) for layer in inspect(tmp_path / "m.onnx").layers] == [
        ("one", True), ("two", True),
    ]


def test_layers_in_subgraphs_are_judged(tmp_path: Path) -> None:
    branch = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["o"], "inner")], "b", [], [value("o")])
    body = helper.make_graph(
        [helper.make_node("MatMul", ["s", "w"], ["t"], "looped"), helper.make_node("Identity", ["go"], ["on"])], "l",
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("s")],
        [value("on", (), TensorProto.BOOL), value("t")])
    nodes = [helper.make_node("If", ["c"], ["a"], then_branch=branch, else_branch=branch),
             helper.make_node("Loop", ["", "c", "a"], ["y"], body=body)]
    saved(tmp_path / "m.onnx", model(nodes, {"w": np.ones((8, 8), np.float32)},
                                     inputs=[value("c", (), TensorProto.BOOL)]))
    assert [layer.name for layer in inspect(tmp_path / "m.onnx").layers] == ["inner", "inner", "looped"]


def test_a_custom_operator_is_seen_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("Mystery", ["x"], ["m"], "own", domain="mine"),
             helper.make_node("MatMul", ["m", "w"], ["y"], "fc")]
    saved(path, model(nodes, {"w": np.ones((8, 8), np.float32)}))
    assert [layer.name for layer in inspect(path).layers] == ["fc"]
    with pytest.raises(UserError, match="Mystery"):
        profile_target(path, QUICK, OnnxRuntimeConfig())


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_said(tmp_path: Path, wrong: float) -> None:
    weight = np.zeros((8, 8), np.float32)
    weight[3, 5] = wrong
    saved(tmp_path / "m.onnx", model([helper.make_node("MatMul", ["x", "w"], ["y"], "fc")], {"w": weight}))
    layer, = inspect(tmp_path / "m.onnx").layers
    assert not layer.two_four
    assert layer.reason == "1 of its weights are NaN or infinite"


def test_a_weight_that_contradicts_its_operator_is_said(tmp_path: Path) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["d"], "dq", axis=0),
             helper.make_node("MatMul", ["x", "d"], ["y"], "fc")]
    constants = {"w": np.ones((8, 8), np.int8), "s": np.ones(5, np.float32)}
    saved(tmp_path / "m.onnx", model(nodes, constants))
    layer, = inspect(tmp_path / "m.onnx").layers
    assert not layer.two_four
    assert "can't be judged" in layer.reason


@pytest.mark.parametrize("operator", ["Identity", "Relu"])
def test_ten_thousand_nodes_take_seconds(tmp_path: Path, operator: str) -> None:
    path = tmp_path / "m.onnx"
    names = ["x", *(f"v{index}" for index in range(10_000))]
    nodes = [helper.make_node(operator, [first], [second], second)
             for first, second in pairwise(names)]
    nodes.append(helper.make_node("MatMul", [names[-1], "w"], ["y"], "fc"))
    saved(path, model(nodes, {"w": np.ones((8, 8), np.float32)}))
    start = time.perf_counter()
    assert [layer.name for layer in inspect(path).layers] == ["fc"]
    assert time.perf_counter() - start < 30  # two seconds on a machine that has nothing else to do


def test_an_input_that_claims_petabytes_is_not_made_up(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    saved(path, model([helper.make_node("Relu", ["x"], ["y"])], {}, shape=(1, 1 << 50), output=(1, 1 << 50)))
    inspect(path)
    with pytest.raises(UserError, match="too large to be made up"):
        profile_target(path, QUICK, OnnxRuntimeConfig())


def test_a_graph_that_makes_petabytes_ends_in_words(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["huge"]), helper.make_node("ReduceSum", ["huge"], ["r"]),
             helper.make_node("Add", ["x", "r"], ["y"])]
    saved(path, model(nodes, {"size": np.array([1 << 25, 1 << 25], np.int64)}))
    inspect(path)
    with pytest.raises(UserError):
        profile_target(path, QUICK, OnnxRuntimeConfig())
