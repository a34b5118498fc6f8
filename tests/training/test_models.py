import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.layers import Add
from twofour.training.models import tiny_resnet, tiny_vit


def test_the_resnet_has_three_blocks_a_stage_and_residual_adds():
    model = tiny_resnet().eval()
    assert model(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    assert sum(isinstance(module, Add) for module in model.modules()) == 9
    dense = [layer.name for layer in list_layers(model, LayersConfig()) if not layer.sparse]
    assert dense == ["stem", "head"]


def test_the_resnet_takes_the_shape_of_a_resnet18():
    model = tiny_resnet(1000, 3, (64, 128, 256, 512), 2)
    smaller_stem = 64 * 3 * (7 * 7 - 3 * 3)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512 - smaller_stem


def test_the_vit_sees_every_patch_in_order_and_is_two_four_but_for_its_head():
    model = tiny_vit(size=8, patch=4).eval()
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    patches = model._patches(torch.arange(64.0).view(1, 1, 8, 8))
    assert patches[0, 1].tolist() == [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31]
    assert [layer.name for layer in list_layers(model, LayersConfig()) if not layer.sparse] == ["head"]


@pytest.mark.parametrize(
    "build", [lambda: tiny_resnet(widths=()), lambda: tiny_vit(size=10), lambda: tiny_vit(heads=3)]
)
def test_impossible_arguments_are_refused(build):
    with pytest.raises(UserError):
        build()
