import pytest
from torch import nn

from twofour.common.errors import UserError
from twofour.training.config import ModelConfig
from twofour.training.factory import build_model
from twofour.training.gpusq.critical import critical_layers
from twofour.training.models import tiny_resnet, tiny_vit

VIT = {"image_size": 16, "patch_size": 8, "num_channels": 1, "hidden_size": 16, "num_attention_heads": 2,
       "intermediate_size": 16, "num_labels": 4}
SWIN = {"image_size": 32, "patch_size": 2, "num_channels": 1, "embed_dim": 16, "num_heads": [1, 1, 1, 1],
        "window_size": 2, "num_labels": 4}


@pytest.mark.parametrize(("depth", "first"), [(12, 8), (24, 20), (6, 4), (4, 2), (1, 0)])
@pytest.mark.parametrize("name", ["ViT", "DeiT"])
def test_of_a_vision_transformer_the_last_third_at_most_four_blocks(name, depth, first):
    pytest.importorskip("transformers")
    args = {**VIT, "num_hidden_layers": depth}
    model = build_model(ModelConfig(factory=f"transformers:{name}ForImageClassification", args=args))
    found = critical_layers(model)
    assert found == [f"model.{name.lower()}.layers.{index}" for index in range(first, depth)]
    assert all(type(model.get_submodule(path)).__name__ == f"{name}Layer" for path in found)


@pytest.mark.parametrize("depths", [[2, 2, 6, 2], [1, 1, 1, 1]])
def test_of_a_swin_the_end_of_the_third_stage_and_the_whole_fourth(depths):
    pytest.importorskip("transformers")
    model = build_model(ModelConfig(factory="transformers:SwinForImageClassification", args={**SWIN, "depths": depths}))
    stage = "model.swin.encoder.layers"
    last = [f"{stage}.3.blocks.{index}" for index in range(depths[3])]
    assert critical_layers(model) == [f"{stage}.2.blocks.{depths[2] - 1}", *last]


def test_of_our_own_networks_the_late_blocks():
    assert critical_layers(tiny_vit(depth=4)) == ["blocks.2", "blocks.3"]
    assert critical_layers(tiny_resnet()) == ["body.6", "body.7", "body.8"]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [(["blocks.*"], ["blocks.0", "blocks.1"]), (["blocks"], ["blocks"]), (["*.fc2", "norm"], ["blocks.0.fc2",
      "blocks.1.fc2", "norm"]), (["blocks.1", "blocks.0"], ["blocks.0", "blocks.1"])],
)
def test_a_pattern_takes_the_outermost_layers_that_it_matches_in_the_networks_order(patterns, found):
    assert critical_layers(tiny_vit(depth=2), patterns) == found


def test_a_pattern_that_matches_nothing_is_refused_with_what_would_be_right():
    with pytest.raises(UserError, match=r"'block.3' matches no layer.*blocks.2, blocks.3"):
        critical_layers(tiny_vit(), ["blocks.0", "block.3"])


def test_a_network_without_repeated_blocks_needs_patterns():
    with pytest.raises(UserError, match="no repeated blocks"):
        critical_layers(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
