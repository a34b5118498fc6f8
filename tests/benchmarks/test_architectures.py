"""The benchmark of architectures: what it counts and what it compares; the page is that of the raw results."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from twofour.engines.onnxruntime.runner import OnnxRunner

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "architectures"


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"architectures_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_raw_results():
    results = json.loads((ROOT / "benchmarks" / "results" / "architectures.json").read_text())
    assert (ROOT / "docs" / "architectures.md").read_text() == loaded("page").page(results)
    assert [row["name"] for row in results["rows"]] == [found.name for found in loaded("networks").ARCHITECTURES]


def test_both_exporters_gave_the_same_network_and_nothing_failed():
    page = (ROOT / "docs" / "architectures.md").read_text()
    assert "DIFFERENT" not in page
    assert "not measured" not in page


def test_a_row_says_what_the_engine_answers_or_that_nobody_asked_it():
    alike = {"predictions": 0.5, "snr_db": 12.34, "samples": 2}
    engine = loaded("page")._engine
    assert engine({"engine": alike, "integer": 3}, True, 4) == ["50.00, 12.3", "3 of 4"]
    assert engine({"optimized": alike}, True, 4) == ["not measured", "not measured"]


def test_the_engine_is_the_one_that_is_built_and_not_the_exported_file(tmp_path):
    make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [make("QuantizeLinear", ["x", "s", "z"], ["q"]), make("DequantizeLinear", ["q", "s", "z"], ["d"]),
             make("DequantizeLinear", ["w", "s", "z"], ["e"]), make("MatMul", ["d", "e"], ["y"], "fc")]
    arrays = {"w": np.full((64, 8), 127, np.int8), "s": np.float32(1), "z": np.int8(0)}
    ports = [info(name, onnx.TensorProto.FLOAT, ["n", size]) for name, size in (("x", 64), ("y", 8))]
    graph = onnx.helper.make_graph(
        nodes, "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in arrays.items()]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "dynamo.onnx")
    engine, integer = loaded("built").built(tmp_path / "dynamo.onnx")
    assert (engine.name, integer) == ("dynamo-engine.onnx", 1)
    answer = OnnxRunner(engine, 1).infer({"x": np.full((2, 64), 127, np.float32)})["y"]
    assert np.array_equal(answer, np.full((2, 8), 64 * 127 * 127))


@pytest.mark.parametrize(("layer", "shape", "macs"), [
    (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 5, 7), 2 * 5 * 7 * 6 * 4 * 9),
    (nn.Conv2d(4, 6, 3, stride=2, groups=2), (1, 4, 5, 7), 2 * 3 * 6 * 2 * 9),
    (nn.Linear(8, 3), (2, 5, 8), 2 * 5 * 8 * 3),
    (nn.ConvTranspose2d(4, 6, 4, 2, 1), (1, 4, 5, 7), 5 * 7 * 4 * 6 * 16),
    (nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), (3, 4, 5, 7), 3 * 5 * 7 * 4 * 3 * 16),
])
def test_multiply_accumulates_of_a_layer(layer, shape, macs):
    network = nn.Sequential(nn.Identity(), layer)
    assert loaded("macs").macs_by_layer(network, torch.randn(shape)) == {"1": macs}
    assert not layer._forward_hooks


def test_a_layer_that_is_used_twice_counts_twice():
    layer = nn.Linear(4, 4)
    assert loaded("macs").macs_by_layer(nn.Sequential(layer, nn.ReLU(), layer), torch.randn(1, 4)) == {"0": 32}


def test_inputs_are_real_and_the_same_for_a_seed():
    batch = loaded("inputs").batch
    pictures = batch((3, 32, 48), 4, 7)
    assert pictures.shape == (4, 3, 32, 48)
    assert torch.equal(pictures, batch((3, 32, 48), 4, 7))
    assert not torch.equal(pictures, batch((3, 32, 48), 4, 8))
    assert pictures.std() > 0.2
    assert batch((8, 1, 1), 4, 0).shape == (4, 8, 1, 1)


def write(path, weight, name="fc.weight_quantizer", scale=1.0):
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], f"{name}/QuantizeLinear"),
        onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], f"{name}/DequantizeLinear"),
        onnx.helper.make_node("Gemm", ["x", "d"], ["y"], "fc"),
    ]
    arrays = {"w": weight.astype(np.float32), "s": np.float32(scale), "z": np.int8(0)}
    ports = [onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, ["batch", size])
             for key, size in zip("xy", weight.shape, strict=True)]
    graph = onnx.helper.make_graph(
        nodes, "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in arrays.items()]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    ir.save(ir.from_proto(model), path)
    np.savez(path.with_suffix(".npz"), y=np.ones((2, 4), np.float32))


@pytest.mark.parametrize(("change", "same"), [
    ({}, {"names": True, "scales": True, "codes": True}),
    ({"turned": True}, {"names": True, "scales": True, "codes": True}),
    ({"plus": 1}, {"names": True, "scales": True, "codes": False}),
    ({"scale": 0.5}, {"names": True, "scales": False, "codes": False}),
    ({"name": "other.weight_quantizer"}, {"names": False, "scales": True, "codes": True}),
])
def test_what_differs_between_two_exports_is_seen(tmp_path, change, same):
    weight = np.arange(16).reshape(4, 4)
    write(tmp_path / "a.onnx", weight)
    turned, plus = change.pop("turned", False), change.pop("plus", 0)
    write(tmp_path / "b.onnx", (weight.T if turned else weight) + plus, **change)
    found = loaded("twins").compare(tmp_path, ("a", "b"))
    assert {key: found[key] for key in same} == same
    assert found["agreement"]["snr_db"] is None
