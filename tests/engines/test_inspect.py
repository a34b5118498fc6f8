from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.bundle import Layer
from twofour.common.errors import UserError
from twofour.engines.inspect import inspect, layer_rows
from twofour.engines.records import LayerEvidence
from twofour.engines.share import two_four_share


def pruned(model: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    name = f"{layer}.weight_quantizer/codes"
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    codes = numpy_helper.to_array(stored).copy()
    codes[:, 1::4] = codes[:, 2::4] = 0
    stored.CopyFrom(numpy_helper.from_array(codes, name))
    return model


def test_an_onnx_file(tmp_path, network):
    onnx.save(pruned(network.onnx(dtype=np.int8), "fc1"), str(tmp_path / "m.onnx"))
    found = inspect(tmp_path / "m.onnx")
    assert found.kind == "onnx"
    assert [(layer.name, layer.two_four, layer.quantized) for layer in found.layers] == [
        ("fc1", True, True), ("fc2", False, True),
    ]
    assert found.layers[0].zeros >= 0.5
    assert found.layers[1].violations > 0
    assert found.qdq.quantize == 2
    assert found.sizes == {"m.onnx": (tmp_path / "m.onnx").stat().st_size}
    assert 0.8 < two_four_share(found.layers) < 0.9
    heads, rows = layer_rows(found)
    assert len(heads) == len(rows[0])
    assert rows[0] == ["fc1", "Gemm", "96x64", "yes", f"{found.layers[0].zeros:.1%}", "int8", "may"]


def test_a_bundle_whose_promise_of_sparsity_is_broken(bundle):
    content = files.read_json(bundle / bundles.MANIFEST)
    layer = Layer(name="fc1", kind="Linear", shape=[96, 64], sparse=True, reason="pruned")
    content["layers"] = [layer.model_dump()]
    files.write_json(bundle / bundles.MANIFEST, content)
    found = inspect(bundle)
    assert found.kind == "bundle"
    assert found.findings[0].id == "SPARSE001"
    assert (found.findings[0].severity, found.findings[0].node) == ("error", "fc1")
    assert "pruned to 2:4 in training" in found.findings[0].text
    assert set(found.sizes) == {"model.onnx", "layers.npz", "reference.npz", "eval.npz", "bundle.json"}
    assert any("dense: accuracy" in note for note in found.notes)


def test_an_engine_with_its_evidence(engine):
    record = files.read_json(engine / "engine.json")
    evidence = LayerEvidence(name="fc1", op="Gemm", shape=[96, 64], two_four=False, zeros=0.0, precision="int8",
                             kernel="QGemm", ran_sparse="no", reason="CPU kernels are dense")
    record["layers"], record["notes"] = [evidence.model_dump()], ["31 activations stored as uint8"]
    files.write_json(engine / "engine.json", record)
    found = inspect(engine)
    assert found.kind == "engine"
    assert found.layers[0].evidence == evidence
    assert found.layers[1].evidence is None
    assert found.notes[-1] == "31 activations stored as uint8"
    assert all(layer.prediction is None for layer in found.layers)
    assert found.findings == []
    _, rows = layer_rows(found)
    assert rows[0][6:8] == ["QGemm", "no"]
    assert rows[1][6:8] == ["unknown", "unknown"]


def test_what_is_none_of_these(tmp_path):
    with pytest.raises(UserError, match="neither a bundle nor an engine"):
        inspect(tmp_path)
    with pytest.raises(UserError, match="missing"):
        inspect(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("this is no model")
    with pytest.raises(UserError):
        inspect(tmp_path / "text.onnx")


def test_an_engine_that_is_no_onnx_file_shows_its_record(engine):
    plan = engine / "engine.plan"
    plan.write_bytes(b"opaque")
    record = files.read_json(engine / "engine.json")
    evidence = LayerEvidence(name="fc1", op="Gemm", shape=[96, 64], two_four=True, zeros=0.5, precision="int8",
                             kernel="sparse_gemm", ran_sparse="yes", reason="tactic")
    record |= {"engine": "engine.plan", "layers": [evidence.model_dump()]}
    record["files"]["engine.plan"] = files.sha256(plan)
    files.write_json(engine / "engine.json", record)
    assert inspect(engine).layers[0].evidence == evidence
    assert np.isclose(inspect(engine).layers[0].zeros, 0.5)


@pytest.mark.parametrize("name", [b"/QuantizeLinear", b"input_quantizer/"], ids=["node", "tensor"])
def test_names_that_are_no_text(tmp_path, network, name):
    content = network.onnx().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content.replace(name, name[:-1] + b"\xdd"))
    with pytest.raises(UserError, match="damaged"):
        inspect(tmp_path / "m.onnx")
