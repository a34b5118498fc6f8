import copy

import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.training.average import Average


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))


def change(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        model[0].weight.normal_()
    model(torch.randn(4, 8))


def test_it_is_the_moving_average_and_starts_faster():
    model = network()
    average, expected = Average(model, 0.5), model[0].weight.detach().clone()
    running = model[1].running_mean.clone()
    for step in range(12):
        change(model, step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
        running = decay * running + (1 - decay) * model[1].running_mean
    torch.testing.assert_close(average.state()["0.weight"], expected)
    torch.testing.assert_close(average.state()["1.running_mean"], running)
    assert int(average.state()["1.num_batches_tracked"]) == 12


def test_the_network_is_the_average_for_a_while_or_for_good():
    model = network()
    average = Average(model, 0.9)
    change(model, 1)
    average.update(0)
    live = copy.deepcopy(model.state_dict())
    with average.applied():
        assert torch.equal(model[0].weight, average.state()["0.weight"])
    assert all(torch.equal(tensor, live[name]) for name, tensor in model.state_dict().items())
    average.settle()
    assert all(torch.equal(tensor, average.state()[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(model[0].weight, live["0.weight"])


def test_what_does_not_change_stays_bit_for_bit_and_masks_hold_exactly():
    model = network()
    average, mask = Average(model, 0.37), torch.rand(8, 8) > 0.5
    bias = model[0].bias.detach().clone()
    for step in range(50):
        change(model, step)
        average.update(step)
    assert torch.equal(average.state()["0.bias"], bias)
    assert average.state()["0.weight"][~mask].any()
    average.hold({"0.weight": mask})
    assert not average.state()["0.weight"][~mask].any()


def test_another_network_s_average_is_refused():
    average = Average(network(), 0.9)
    with pytest.raises(UserError, match="lacks its average"):
        average.load_state({})
    average.load_state({name: torch.zeros_like(tensor) for name, tensor in average.state().items()})
    assert not average.state()["0.weight"].any()
