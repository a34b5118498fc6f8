"""A TensorRT engine from the bundle of a network that came quantized, as an ONNX file; without torch, as here."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from twofour.common import bundle as bundles
from twofour.engines.build import build_engine
from twofour.engines.config import TensorRTConfig, ValidateConfig
from twofour.engines.validate import validate_engine
from twofour.pipeline.foreign import foreign_stage
from twofour.pipeline.onnx_recipe import OnnxModelConfig, OnnxRecipe


@pytest.fixture
def foreign_bundle(tmp_path, sparse_network, shared):
    """From a file with uint8 codes around 128, which TensorRT itself does not take."""
    model = sparse_network.onnx()
    for tensor in model.graph.initializer:
        if tensor.name.endswith("input_quantizer/zero_point"):
            tensor.CopyFrom(numpy_helper.from_array(np.uint8(128), tensor.name))
    onnx.save(model, tmp_path / "given.onnx")
    x, y = shared.digits()
    np.savez(tmp_path / "inputs.npz", x=x[:150], targets=y[:150])
    config = OnnxModelConfig(onnx=str(tmp_path / "given.onnx"), inputs=str(tmp_path / "inputs.npz"))
    foreign_stage(OnnxRecipe(name="given", model=config), tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("rest", ["fp32", "fp16"])
def test_it_is_built_and_judged_beside_the_file(gpu, foreign_bundle, rest):
    folder, record = build_engine(foreign_bundle, TensorRTConfig(timing_cache="off", rest=rest))
    assert [(layer.name, layer.two_four) for layer in record.layers] == [("fc1", True), ("fc2", False)]
    found = validate_engine(folder, foreign_bundle, ValidateConfig(), layers=True)
    assert found.reference == "given.onnx"
    assert [(row.name, row.against) for row in found.runtimes][-2:] == [
        ("TensorRT", "given.onnx"), ("TensorRT", "ONNX Runtime, typed.onnx"),
    ]
    assert all(gate.met for gate in found.gates)
    assert [gate.name for gate in found.gates] == ["max_drop_from_source", "min_agreement"]
    assert found.value > 0.6  # pruned without training
    recorded = bundles.read(foreign_bundle).arrays(bundles.LAYERS, "tensors")
    assert {layer.tensor for layer in found.layers} == {*recorded, "logits"}
    assert "PyTorch" not in found.model_dump_json()
