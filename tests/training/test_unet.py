import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.unet import tiny_unet


@pytest.mark.parametrize("widths", [(16, 32), (16, 32, 64, 64)])
def test_the_unet_answers_for_each_pixel_and_all_but_its_ends_can_be_pruned(widths):
    model = tiny_unet(classes=5, channels=3, widths=widths).eval()
    assert model(torch.zeros(2, 3, 16, 24)).shape == (2, 5, 16, 24)
    dense = [layer.name for layer in list_layers(model, LayersConfig()) if not layer.sparse]
    assert dense == ["down.0.conv1", "head"]


def test_a_pixel_sees_its_neighbourhood_through_the_skips_alone():
    model = tiny_unet(widths=(16, 16)).eval()
    for parameter in model.up[0].larger.parameters():
        parameter.data.zero_()
    inputs = torch.randn(1, 1, 16, 16)
    moved = inputs.clone()
    moved[..., 8, 8] += 5
    changed = (model(inputs) != model(moved)).any(1)[0].nonzero()
    assert changed.min() >= 4  # four 3x3 convolutions reach four pixels far
    assert changed.max() <= 12


@pytest.mark.parametrize("args", [{"widths": (16,)}, {"classes": 0}, {"widths": (16, 0)}])
def test_impossible_arguments_are_refused(args):
    with pytest.raises(UserError, match="tiny_unet"):
        tiny_unet(**args)
