import copy

import pytest
import torch
from torch import nn

from twofour.training.amendment.dual import DualNorm, aside, convert, distances, has_norms, revert
from twofour.training.models import tiny_resnet, tiny_vit
from twofour.training.unet import tiny_unet


@pytest.fixture(scope="module", autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


@pytest.mark.parametrize("build", [lambda: tiny_resnet(widths=(16, 32), blocks=1), lambda: tiny_unet(widths=(16, 32))])
def test_the_main_branch_is_the_original_bit_for_bit_and_comes_back_whole(build):
    model = build()
    before, inputs = copy.deepcopy(model), torch.randn(4, 1, 8, 8)
    held = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    convert(model)
    for one, other in ((before.train(), model.train()), (before.eval(), model.eval())):
        assert torch.equal(one(inputs), other(inputs))
    revert(model)
    assert list(model.state_dict()) == list(before.state_dict())
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert all(model.get_submodule(name) is module for name, module in held.items())


@pytest.mark.parametrize(("norm", "shape"), [(nn.BatchNorm1d, (5, 3)), (nn.BatchNorm1d, (5, 3, 4)),
                                             (nn.BatchNorm2d, (5, 3, 4, 4)), (nn.BatchNorm3d, (5, 3, 2, 2, 2))])
def test_branches_share_nothing(norm, shape):
    model = nn.Sequential(norm(3))
    convert(model)
    dual = model[0]
    with aside(model):
        model(torch.randn(shape) + 5).sum().backward()
    assert dual.main.weight.grad is None
    assert dual.auxiliary.weight.grad is not None
    assert not dual.main.running_mean.any()
    assert (dual.auxiliary.running_mean > 0.3).all()
    assert not dual.aside
    assert dual.num_features == 3


def test_a_batch_norm_in_several_places_has_one_auxiliary(nets):
    shared = nn.BatchNorm2d(4)
    model = nets.net(shared, shared)
    convert(model)
    assert isinstance(model[1], DualNorm)
    assert model[1] is model[4]
    revert(model)
    assert model[1] is shared
    assert model[4] is shared


def test_batch_norms_derived_from_pytorchs_are_found_and_others_left():
    class Own(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).relu()

    model = nn.Sequential(Own(3), nn.GroupNorm(1, 3), nn.InstanceNorm2d(3))
    convert(model)
    assert [type(module) for module in model] == [DualNorm, nn.GroupNorm, nn.InstanceNorm2d]
    assert type(model[0].auxiliary) is Own
    assert not has_norms(tiny_vit(size=8))


def test_distances_are_in_the_main_statistics_own_measure():
    model = nn.Sequential(nn.BatchNorm2d(2, eps=0.0), nn.BatchNorm2d(2, track_running_stats=False))
    convert(model)
    dual = model[0]
    dual.main.running_var.fill_(4.0)
    dual.auxiliary.running_mean.copy_(torch.tensor([2.0, -4.0]))
    dual.auxiliary.running_var.copy_(torch.tensor([8.0, 4.0]))
    assert distances(model) == {"0": {"mean": pytest.approx(1.5), "variance": pytest.approx(0.5)}}
