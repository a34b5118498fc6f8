import pytest
import torch
from torch import nn

from twofour.calibrate.calibrate import calibrate
from twofour.calibrate.config import CalibrateConfig
from twofour.common.errors import UserError
from twofour.training.layers import Add
from twofour.training.models import tiny_resnet
from twofour.training.quantize import enabled, insert, set_ranges


def test_every_weighted_layer_and_both_summands_are_quantized(capsys):
    names = enabled(insert(tiny_resnet(widths=(16, 32), blocks=1))).keys()
    assert {"stem.input_quantizer", "stem.weight_quantizer", "head.input_quantizer"} <= names
    assert {"body.1.add.input_quantizer_a", "body.1.add.input_quantizer_b"} <= names
    assert not any(name.endswith("output_quantizer") for name in names)
    assert capsys.readouterr().out == ""


def test_weights_are_per_output_channel_and_narrow_and_transposed_ones_per_tensor():
    model = insert(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 2), nn.Linear(5, 7)))
    calibrate_on(model[:2], torch.randn(2, 3, 4, 4))
    conv, up = model[0].weight_quantizer, model[1].weight_quantizer
    assert conv.amax.shape == (4, 1, 1, 1)
    assert up.amax.shape == ()
    assert conv.narrow_range
    codes = conv(model[0].weight) / conv.amax * 127
    assert torch.allclose(codes, codes.round(), atol=1e-3)
    assert codes.abs().max().round() == 127


def calibrate_on(model, inputs):
    return calibrate(model, [(inputs, torch.zeros(len(inputs)).long())], CalibrateConfig(method="max"))


def test_ranges_rebuild_the_same_network():
    torch.manual_seed(0)
    source = insert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 1))).eval()
    inputs = torch.randn(2, 3, 4, 4)
    ranges = calibrate_on(source, inputs)
    target = insert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 1))).eval()
    set_ranges(target, ranges)
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(inputs), target(inputs))
    with pytest.raises(UserError, match=r"ranges don't fit"):
        set_ranges(target, ranges[1:])


def test_a_network_without_layers_or_with_quantizers_is_refused():
    with pytest.raises(UserError, match="no Conv"):
        insert(nn.ReLU())
    with pytest.raises(UserError, match="already"):
        insert(insert(nn.Linear(4, 4)))


def test_layers_that_attention_reads_itself_are_left_alone():
    model = nn.ModuleList([nn.MultiheadAttention(16, 2), nn.Linear(4, 4)])
    assert enabled(insert(model)).keys() == {"1.input_quantizer", "1.weight_quantizer"}


def test_add_adds():
    assert torch.equal(Add()(torch.ones(2), torch.ones(2)), torch.full((2,), 2.0))
