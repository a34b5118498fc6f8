import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from twofour.common.errors import UserError
from twofour.export.config import ExportConfig
from twofour.export.graph.two_four import check
from twofour.export.torch_onnx import export
from twofour.training.config import LayersConfig, ModelConfig
from twofour.training.eligibility import list_layers
from twofour.training.factory import build_model
from twofour.training.masks import MaskKeeper, magnitude_masks
from twofour.training.patches import is_patch_embedding, patches_as_linear
from twofour.training.weights import load_weights, save_tensors


class Patchy(nn.Module):
    """A patch embedding as a convolution, pooled to classes."""

    def __init__(self, channels=3, side=4, width=16):
        super().__init__()
        self.embed, self.head = nn.Conv2d(channels, width, side, side), nn.Linear(width, 8)

    def forward(self, x):
        return self.head(torch.relu(self.embed(x)).mean((2, 3)))


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 6), kernel=st.tuples(st.integers(1, 8), st.integers(1, 8)), bias=st.booleans(),
    rest=st.tuples(st.integers(0, 3), st.integers(0, 3)), rows=st.integers(1, 3),
)
def test_it_is_the_same_function(channels, kernel, bias, rest, rows):
    model = nn.Sequential(nn.Conv2d(channels, 5, kernel, kernel, bias=bias)).double()
    expected = channels * kernel[0] * kernel[1] % 16 == 0
    x = torch.randn(2, channels, kernel[0] * rows + rest[0] % kernel[0], kernel[1] * 2 + rest[1] % kernel[1]).double()
    before = model(x).detach()
    assert patches_as_linear(model) == (["0"] if expected else [])
    after = model(x).detach()
    assert after.shape == before.shape
    assert float((after - before).abs().max()) < 1e-12


@pytest.mark.parametrize("conv", [
    nn.Conv2d(3, 8, 4, 2), nn.Conv2d(3, 8, 4, 4, 1), nn.Conv2d(4, 8, 4, 4, groups=2), nn.Conv2d(3, 8, 4, 4, dilation=2),
    nn.Conv2d(16, 8, 4, 4), nn.Conv2d(3, 8, 2, 2), nn.ConvTranspose2d(3, 8, 4, 4), nn.Conv2d(3, 8, (4, 8), 4),
])
def test_other_convolutions_stay(conv):
    assert not is_patch_embedding(conv)


def test_no_random_number_is_drawn_and_a_layer_used_twice_stays_one():
    conv = nn.Conv2d(3, 8, 4, 4)
    model, state = nn.ModuleDict({"a": conv, "b": conv}), torch.get_rng_state()
    assert patches_as_linear(model) == ["a", "b"]
    assert model["a"] is model["b"]
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_of_either_form_fit_both(tmp_path):
    conv = Patchy()
    linear = copy.deepcopy(conv)
    patches_as_linear(linear)
    save_tensors(tmp_path / "conv.safetensors", conv.state_dict())
    save_tensors(tmp_path / "linear.safetensors", linear.state_dict())
    x = torch.randn(2, 3, 8, 8)
    for name in ("conv", "linear"):
        for fresh in (Patchy(), Patchy()):
            patches_as_linear(fresh)
            load_weights(fresh, tmp_path / f"{name}.safetensors")
            assert torch.allclose(fresh(x), conv(x), atol=1e-6)
        kept = Patchy()
        load_weights(kept, tmp_path / f"{name}.safetensors")
        assert torch.equal(kept(x), conv(x))
    with pytest.raises(UserError, match="other shapes"):
        load_weights(Patchy(width=32), tmp_path / "linear.safetensors")


def test_a_recipe_says_which():
    assert ModelConfig(factory="a:b").patches == "linear"
    zoo = {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    pytest.importorskip("transformers")
    model = build_model(ModelConfig(factory="transformers:ViTForImageClassification", args=zoo))
    layers = {layer.name: layer for layer in list_layers(model, LayersConfig())}
    embedding = layers["model.vit.embeddings.patch_embeddings.projection"]
    assert (embedding.kind, embedding.shape, embedding.sparse) == ("Linear", [16, 192], True)
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 2)


@pytest.mark.parametrize(("zoo", "args"), [
    ("ViT", {"image_size": 16, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}),
    ("Swin", {"image_size": 16, "patch_size": 4, "embed_dim": 8, "depths": [1], "num_heads": [2], "window_size": 2}),
    ("ConvNext", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}),
])
def test_stems_of_transformers(zoo, args):
    pytest.importorskip("transformers")
    factory = f"transformers:{zoo}ForImageClassification"
    model = build_model(ModelConfig(factory=factory, args=args, patches="conv")).double().eval()
    other, x = copy.deepcopy(model), torch.randn(2, 3, 16, 16).double()
    assert patches_as_linear(other)
    with torch.no_grad():
        assert float((model(x) - other(x)).abs().max()) < 1e-12


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_the_exported_embedding_is_two_four(exporter):
    from twofour.calibrate.calibrate import calibrate
    from twofour.calibrate.config import CalibrateConfig
    from twofour.training.quantize import place

    model, x = Patchy(), torch.randn(4, 3, 8, 8)
    patches_as_linear(model)
    layers = list_layers(model.eval(), LayersConfig())
    assert [layer.sparse for layer in layers] == [True, True]
    MaskKeeper(model, magnitude_masks(model, layers)).apply()
    place(model, "tensorrt", x[:2])
    calibrate(model, [(x, torch.zeros(4).long())], CalibrateConfig(method="max"))
    found = {item.name: item for item in check(export(model, x, ExportConfig(exporter=exporter, opset=20)))}
    assert found["embed"].op in ("MatMul", "Gemm")
    assert found["embed"].two_four
    assert found["embed"].shape[found["embed"].axis] == 48
