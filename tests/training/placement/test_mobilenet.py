"""Depthwise convolutions and linear bottlenecks: MobileNetV2, with all of its kinds of blocks and few of each."""

import pytest
import torch
from torch import nn

from twofour.export.config import ExportConfig
from twofour.export.graph.lint import lint
from twofour.export.graph.load import load
from twofour.export.graph.passes import count
from twofour.export.graph.save import save
from twofour.export.torch_onnx import export
from twofour.training.config import LayersConfig, ModelConfig
from twofour.training.eligibility import list_layers
from twofour.training.factory import build_model

pytest.importorskip("transformers")
SMALL = {"depth_multiplier": 0.05, "min_depth": 8, "image_size": 32, "num_labels": 8}  # every bottleneck is 8 wide
KEPT = (0, 1, 15)  # blocks: with a stride, with a sum, the last


@pytest.fixture
def mobilenet():
    torch.manual_seed(0)
    model = build_model(ModelConfig(factory="transformers:MobileNetV2ForImageClassification", args=SMALL))
    body = model.get_submodule("model.mobilenet_v2")
    body.layer = nn.ModuleList(body.layer[index] for index in KEPT)
    inputs = torch.randn(8, 3, 32, 32)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(inputs)  # fresh statistics would let the activations die
    return model.eval(), inputs


def quantizers(model):
    return sorted(str(node.name).removesuffix("/QuantizeLinear") for node in model.graph
                  if node.op_type == "QuantizeLinear")


@pytest.mark.slow
@pytest.mark.parametrize("policy", [
    "tensorrt", "tensorrt-sparse", "weights-and-inputs", "onnxruntime", ["tensorrt", "!*classifier.*", "!*pooler.*"]
])
def test_both_exporters_write_what_the_policy_placed(mobilenet, placed, policy, tmp_path):
    model, inputs = mobilenet
    weighted = [name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    sparse = [layer.name for layer in list_layers(model, LayersConfig()) if layer.sparse]
    groups = placed(model, policy, inputs, sparse)
    written = {exporter: export(model, inputs[:2], ExportConfig(exporter=exporter))
               for exporter in ("dynamo", "torchscript")}
    names, others = (quantizers(found) for found in written.values())
    assert names == others
    activations = {name.split("#")[0] for name in names if "weight_quantizer" not in name}
    assert activations == {group[0] for group in groups}
    left_out = {"model.classifier"} if isinstance(policy, list) else set()
    assert {name for name in names if "weight_quantizer" in name} == {
        f"{name}.weight_quantizer" for name in set(weighted) - left_out
    }
    for exporter, found in written.items():
        save(found, tmp_path / f"{exporter}.onnx")
        counts = count(load(tmp_path / f"{exporter}.onnx"))
        assert counts.quantize == counts.dequantize == len(names)
        assert [finding for finding in lint(found, "11.4") if finding.severity == "error"] == []
