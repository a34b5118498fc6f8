"""Real architectures, with random weights."""

import pytest
import torch

from twofour.training.config import ModelConfig
from twofour.training.factory import build_model
from twofour.training.quantize import enabled, place

pytest.importorskip("transformers")
CASES = {
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic"},
    "ConvNext": {"hidden_sizes": [8, 16], "depths": [2, 1], "num_stages": 2},
    "ViT": {
        "image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32,
    },
    "Swin": {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 4},
}
MUST = {
    "ResNet": ["*stages.1.layers.1.layer.0.convolution.input_quantizer", "*stages.1.layers.1.add_0.input_quantizer_b"],
    "ConvNext": ["*stages.0.layers.1.dwconv.input_quantizer"],
    "ViT": ["*q_proj.input_quantizer", "*attention_0.softmax_quantizer", "*mlp.fc1.input_quantizer"],
    "Swin": ["*q_proj.input_quantizer", "*attention_0.input_quantizer_v", "*mlp.fc2.input_quantizer"],
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wanted_is_quantized_and_nothing_else_changes(name):
    from fnmatch import fnmatchcase

    torch.manual_seed(0)
    model = build_model(ModelConfig(factory=f"transformers:{name}ForImageClassification", args=CASES[name])).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = model(x)
    placement = place(model, "tensorrt", x)
    names = [name for group in placement.quantizers for name in group]
    assert placement.policy == "tensorrt"
    assert not placement.missed
    assert all(any(fnmatchcase(found, pattern) for found in names) for pattern in MUST[name])
    assert not any("norm" in found for found in names)
    if name in ("ViT", "Swin"):
        shared = [group for group in placement.quantizers if group[0].endswith("q_proj.input_quantizer")]
        assert all(len(group) == 3 for group in shared)
        assert not any("add_" in found for found in names)
    for quantizer in enabled(model).values():
        quantizer.disable()
    with torch.no_grad():
        assert torch.allclose(model(x), before, atol=1e-5)
