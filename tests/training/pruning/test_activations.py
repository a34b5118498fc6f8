import pytest
import torch
import torch.nn.functional as F
from torch import nn

from twofour.common.errors import UserError
from twofour.training.patches import patches_as_linear
from twofour.training.pruning.activations import input_norms

TARGETS = torch.zeros(3, dtype=torch.long)


def loader(*shape):
    torch.manual_seed(1)
    return [(torch.randn(3, *shape), TARGETS), (torch.randn(3, *shape), TARGETS)]


def unfolded(conv, inputs):
    """The matrix that the convolution multiplies its kernels with, (groups, in / groups * kernel, columns)."""
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    inputs = F.pad(inputs, conv._reversed_padding_repeated_twice, mode=mode)
    columns = F.unfold(inputs, conv.kernel_size, conv.dilation, 0, conv.stride)
    return columns.transpose(0, 1).flatten(1).view(conv.groups, -1, columns.shape[0] * columns.shape[2])


CONVOLUTIONS = {
    "plain": nn.Conv2d(8, 8, 3, padding=1),
    "strided": nn.Conv2d(8, 8, 3, stride=2),
    "dilated": nn.Conv2d(8, 8, 3, dilation=2, padding=(2, 1)),
    "grouped": nn.Conv2d(8, 16, 3, groups=2, padding=1),
    "depthwise": nn.Conv2d(8, 8, 3, groups=8, stride=2, padding=1),
    "reflected": nn.Conv2d(8, 8, (3, 1), padding=(1, 0), padding_mode="reflect"),
    "same": nn.Conv2d(8, 8, 4, padding="same"),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_has_the_norms_of_what_each_kernel_position_reads(name):
    conv = CONVOLUTIONS[name]
    batches = loader(8, 9, 7)
    norms = input_norms(nn.Sequential(conv), ["0"], batches)["0"].expand_as(conv.weight)
    columns = torch.cat([unfolded(conv, inputs) for inputs, _ in batches], 2)
    expected = columns.norm(dim=2).view(conv.groups, 1, *conv.weight.shape[1:])
    expected = expected.expand(-1, conv.out_channels // conv.groups, -1, -1, -1).reshape(conv.weight.shape)
    torch.testing.assert_close(norms, expected)


def test_linear_and_one_dimension_and_transposed():
    linear, conv, up = nn.Linear(6, 4), nn.Conv1d(4, 4, 3, stride=2), nn.ConvTranspose2d(4, 8, 2, 2)
    tokens = loader(5, 6)
    expected = torch.cat([inputs for inputs, _ in tokens]).flatten(0, 1).norm(dim=0)
    torch.testing.assert_close(input_norms(nn.Sequential(linear), ["0"], tokens)["0"], expected[None])
    rows = loader(4, 9)
    expected = torch.cat([inputs.unfold(2, 3, 2) for inputs, _ in rows]).square().sum((0, 2)).sqrt()
    torch.testing.assert_close(input_norms(nn.Sequential(conv), ["0"], rows)["0"], expected[None])
    pictures = loader(4, 3, 3)
    expected = torch.cat([inputs for inputs, _ in pictures]).square().sum((0, 2, 3)).sqrt()
    torch.testing.assert_close(input_norms(nn.Sequential(up), ["0"], pictures)["0"], expected.view(4, 1, 1, 1))


def test_a_patch_embedding_is_judged_by_its_unfolded_patches():
    conv = nn.Conv2d(3, 8, 4, 4)
    pictures = loader(3, 8, 8)
    as_conv = input_norms(nn.Sequential(conv), ["0"], pictures)["0"]
    network = nn.Sequential(conv)
    assert patches_as_linear(network) == ["0"]
    torch.testing.assert_close(input_norms(network, ["0"], pictures)["0"], as_conv.flatten(1))


def test_the_network_stays_as_it_was_and_an_unused_layer_has_no_norm():
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train()
    network[0].aside = nn.Linear(4, 4)
    batches = [(torch.ones(3, 4), TARGETS)]
    assert input_norms(network, ["0", "0.aside"], batches).keys() == {"0"}
    assert network.training
    assert not network[0]._forward_pre_hooks


def test_an_empty_loader_is_told():
    with pytest.raises(UserError, match="calibration"):
        input_norms(nn.Sequential(nn.Linear(4, 4)), ["0"], [])
