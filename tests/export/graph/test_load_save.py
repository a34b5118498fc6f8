from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from twofour.common.errors import UserError
from twofour.export.graph.load import load
from twofour.export.graph.save import save
from twofour.export.graph.stored import data_files


@pytest.fixture
def split(tmp_path: Path, conv_net: Any) -> Path:
    """A model whose weights are in a data file beside it."""
    folder = tmp_path / "split"
    assert save(conv_net(np.ones(16)), folder / "model.onnx", threshold=1000) == ["model.onnx.data", "model.onnx"]
    return folder / "model.onnx"


def test_a_file_comes_back_as_it_was(tmp_path: Path, conv_net: Any, graphs: Any, rng: Any) -> None:
    model = conv_net(np.ones(16))
    x = rng.normal(size=(2, 8, 6, 6)).astype(np.float32)
    path = tmp_path / "new" / "model.onnx"
    assert save(model, path) == ["model.onnx"]
    assert [item.name for item in path.parent.iterdir()] == ["model.onnx"]
    np.testing.assert_array_equal(graphs.answer(load(path), x=x), graphs.answer(model, x=x))


def test_large_weights_lie_beside_it(split: Path, graphs: Any, rng: Any) -> None:
    assert sorted(item.name for item in split.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    weight = load(split).graph.initializers["conv.weight"].const_value
    assert isinstance(weight, ir.ExternalTensor)
    assert weight.numpy().shape == (16, 8, 3, 3)


def test_saving_over_itself_and_small_again(split: Path, graphs: Any, rng: Any) -> None:
    x = rng.normal(size=(1, 8, 6, 6)).astype(np.float32)
    expected = graphs.answer(load(split), x=x)
    save(load(split), split, threshold=1000)
    save(load(split), split)
    assert [item.name for item in split.parent.iterdir()] == ["model.onnx"]
    np.testing.assert_array_equal(graphs.answer(load(split), x=x), expected)


def test_a_failed_save_leaves_the_old_file(split: Path, monkeypatch: pytest.MonkeyPatch, conv_net: Any) -> None:
    before = split.read_bytes()

    def no_room(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ir, "save", no_room)
    with pytest.raises(UserError, match="no room left"):
        save(conv_net(np.ones(4)), split)
    assert split.read_bytes() == before
    assert sorted(item.name for item in split.parent.iterdir()) == ["model.onnx", "model.onnx.data"]


@contextmanager
def little_room() -> Iterator[None]:
    """The kernel itself refuses to write beyond 2 KiB, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_no_room_for_the_data_file_leaves_the_old_pair(split: Path, conv_net: Any) -> None:
    before = {item.name: item.read_bytes() for item in split.parent.iterdir()}
    with little_room(), pytest.raises(UserError, match=r"model\.onnx: .*no room left"):
        save(conv_net(np.ones(16)), split, threshold=1000)
    assert {item.name: item.read_bytes() for item in split.parent.iterdir()} == before


def test_the_files_of_the_weights_are_known(split: Path, tmp_path: Path, conv_net: Any) -> None:
    assert data_files(split) == ["model.onnx.data"]
    save(conv_net(np.ones(4)), tmp_path / "small.onnx")
    assert data_files(tmp_path / "small.onnx") == []


def point(path: Path, key: str, value: str) -> None:
    """Change where the model says that its weights are."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == key:
                entry.value = value
    path.write_bytes(model.SerializeToString())


def test_external_data_must_stay_in_the_folder(split: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"0" * 100_000)
    for location in ("../secret", str(secret), ""):
        point(split, "location", location)
        with pytest.raises(UserError, match="leads out of") as raised:
            load(split)
        assert raised.value.exit_code == 2


def test_a_link_out_of_the_folder_is_refused(split: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.data"
    data = split.with_name("model.onnx.data")
    data.rename(outside)
    os.symlink(outside, data)
    with pytest.raises(UserError, match="leads out of"):
        load(split)


def test_missing_or_short_data_is_named(split: Path) -> None:
    data = split.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(UserError, match=r"'model\.onnx\.data' is too short"):
        load(split)
    data.unlink()
    with pytest.raises(UserError, match=r"'model\.onnx\.data' with the weight .* is missing"):
        load(split)


def test_a_damaged_place_is_an_error(split: Path) -> None:
    point(split, "offset", "many")
    with pytest.raises(UserError, match="damaged"):
        load(split)


def test_external_data_in_a_branch_is_seen(tmp_path: Path) -> None:
    tensor = onnx.helper.make_tensor("w", 1, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    out = onnx.helper.make_tensor_value_info("o", 1, [1])
    branch = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["o"], value=tensor)], "b", [], [out])
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    graph = onnx.helper.make_graph(
        [node], "g", [onnx.helper.make_tensor_value_info("c", 9, [])], [onnx.helper.make_tensor_value_info("y", 1, [1])]
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(UserError, match="/etc/hostname"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"not onnx at all", b"\x08\x0a"])
def test_what_is_not_onnx_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not ONNX"):
        load(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(UserError, match="missing"):
            load(path)


def test_broken_rules_are_quoted(tmp_path: Path, conv_net: Any) -> None:
    model = ir.to_proto(conv_net(np.ones(4)))
    model.graph.node[0].op_type = "NoSuchOperator"
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="NoSuchOperator"):
        load(path)


def test_flipped_bytes_never_crash(tmp_path: Path, conv_net: Any) -> None:
    content = ir.to_proto(conv_net(np.ones(4))).SerializeToString()
    path = tmp_path / "model.onnx"
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 8):
            damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(damaged))
        with suppress(UserError):
            load(path)


def test_an_output_without_a_shape(tmp_path: Path, graphs: Any) -> None:
    model = graphs.build([onnx.helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 4]}, {})
    proto = ir.to_proto(model)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(proto, str(tmp_path / "m.onnx"))
    assert load(tmp_path / "m.onnx").graph.outputs[0].shape is None


def test_the_checkers_complaint_names_the_node(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["nothing"], ["y"], "the_node")
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=10), str(tmp_path / "m.onnx"))
    with pytest.raises(UserError, match=r"input 'nothing' of node: name: the_node OpType: Relu is not output of any"):
        load(tmp_path / "m.onnx")
