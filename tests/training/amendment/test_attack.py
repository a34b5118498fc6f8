import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from twofour.common.errors import UserError
from twofour.training.amendment.attack import Attack, wrong_class
from twofour.training.amendment.dual import aside, convert


@pytest.fixture(scope="module", autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


@settings(max_examples=40, deadline=None)
@given(eps=st.floats(1e-3, 1.0), steps=st.integers(1, 4), size=st.floats(1e-3, 1.0), start=st.booleans(),
       target=st.sampled_from(["none", "random"]), seed=st.integers(0, 99), wide=st.floats(1.0, 3.0))
def test_every_iterate_stays_within_eps_and_the_bounds(nets, eps, steps, size, start, target, seed, wide):
    torch.manual_seed(seed)
    inputs, targets = nets.batch(4)
    low, high = torch.tensor([[[-1.0]]]), torch.tensor([[[2.0]]])
    inputs = inputs * wide  # some samples lie outside the bounds
    made = Attack(eps, steps, size, start, target)(nets.net(), inputs, targets, (low, high), "here")
    assert len(made) == steps
    for now in made:
        assert ((now - inputs).abs() <= eps * 3 + 1e-5).all()
        assert (now >= torch.minimum(inputs, low)).all()
        assert (now <= torch.maximum(inputs, high)).all()


def test_eps_is_a_share_of_each_channels_own_range():
    inputs, targets = torch.tensor([0.5, 5.0]).view(1, 2, 1, 1).repeat(2, 1, 1, 1), torch.tensor([0, 1])
    bounds = (torch.zeros(2, 1, 1), torch.tensor([1.0, 10.0]).view(2, 1, 1))
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    moved = Attack(0.1, 1, 0.1, random_start=False)(model, inputs, targets, bounds, "here")[-1] - inputs
    assert torch.allclose(moved.abs().flatten(1), torch.tensor([0.1, 1.0]).expand(2, 2))


@pytest.mark.parametrize("places", [(), (4, 4)])
def test_it_leaves_statistics_gradients_and_modes_alone(nets, places):
    model = nets.masker() if places else nets.net()
    convert(model)
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    inputs, targets = nets.batch(places=places)
    kept = inputs.clone()
    with aside(model):
        Attack(0.1, 2, 0.1)(model, inputs, targets, nets.BOUNDS, "here")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())
    assert torch.equal(inputs, kept)
    assert not inputs.requires_grad


@pytest.mark.parametrize("target", ["none", "random"])
def test_it_raises_the_loss_or_lowers_that_of_a_wrong_class(nets, target):
    torch.manual_seed(0)
    model, (inputs, targets) = nets.net().eval(), nets.batch(64)
    draw = torch.rand(64, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(3)
    moved = Attack(0.05, 3, 0.02, random_start=False, target=target)(model, inputs, targets, nets.BOUNDS, "here")[-1]
    goal = targets if target == "none" else wrong_class(targets, draw, 3)
    before, after = (nn.functional.cross_entropy(model(x), goal) for x in (inputs, moved))
    assert (after > before + 0.01) if target == "none" else (after < before - 0.01)


def test_what_is_attacked_is_the_active_batch_norm(nets):
    torch.manual_seed(0)
    model, (inputs, targets) = nets.net(), nets.batch()
    convert(model)
    model[1].auxiliary.weight.data.neg_()
    attack = Attack(0.1, 1, 0.1, random_start=False)
    main = attack(model, inputs, targets, nets.BOUNDS, "here")[-1]
    with aside(model):
        other = attack(model, inputs, targets, nets.BOUNDS, "here")[-1]
    assert not torch.equal(main, other)


@settings(deadline=None)
@given(classes=st.integers(2, 2000), draw=st.floats(0, 1, exclude_max=True, width=32), label=st.integers(0, 1999))
def test_a_wrong_class_is_another_one(classes, draw, label):
    targets = torch.tensor([label % classes])
    found = wrong_class(targets, torch.tensor([draw]), classes)
    assert 0 <= int(found) < classes
    assert int(found) != int(targets)


def test_a_network_that_does_not_look_at_its_inputs_cannot_be_attacked(nets):
    class Rounds(nn.Module):
        def forward(self, x):
            return x.detach().flatten(1)[:, :3]

    with pytest.raises(UserError, match="no gradient with respect to the inputs"):
        Attack(0.1)(Rounds(), *nets.batch(), nets.BOUNDS, "train loader, batch 0")
