import pytest
import torch

from twofour.training.amendment.attack import Attack
from twofour.training.amendment.dual import convert
from twofour.training.amendment.measure import measured


@pytest.fixture(scope="module", autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


def test_it_is_the_same_each_time_and_moves_no_random_state(nets):
    torch.manual_seed(0)
    model, loader, attack = nets.net(), nets.samples().val, Attack(0.4, 1, 0.1)
    convert(model)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(measured(model, loader, attack, nets.BOUNDS))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]


def test_each_branch_is_measured_by_itself(nets):
    torch.manual_seed(0)
    model, loader = nets.net(), nets.samples().val
    convert(model)
    with torch.no_grad():  # the auxiliary branch knows no sample from another
        model[4].auxiliary.weight.zero_()
        model[4].auxiliary.bias.zero_()
        model[6].bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
        model[6].weight.mul_(50)
    found = measured(model, loader, Attack(0.4, 1, 0.4, random_start=False), nets.BOUNDS)
    right = (model.eval()(loader.inputs).argmax(1) == loader.targets).float().mean()
    assert found["accuracy"] == pytest.approx(float(right))
    assert found["auxiliary_accuracy"] == pytest.approx(float((loader.targets == 2).float().mean()))
    assert found["attack"]["eps"] == 0.4
    assert set(found["distances"]) == {"1", "4"}
