import copy

import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.masks import is_two_four
from twofour.training.pruning.sr_ste import SrSte


def sgd(model, rate=0.1, **options):
    return torch.optim.SGD(model.parameters(), rate, **options)


def test_one_step_is_the_paper_s(network, rule):
    dense, mask = network[0].weight.detach().clone(), rule.mask("0.weight", network[0].weight)
    masker, optimizer = SrSte(rule, 0.01), sgd(network)
    masker.attach(network, optimizer)
    assert torch.equal(network[0].weight, dense * mask)
    inputs = torch.randn(4, 16)
    loss = network(inputs).square().sum()
    loss.backward()
    gradient = network[0].weight.grad.clone()
    assert gradient[~mask].any()
    optimizer.step()
    expected = dense - 0.1 * (gradient + 0.01 * ~mask * dense)
    torch.testing.assert_close(masker.state()["dense/0.weight"], expected)
    now = rule.mask("0.weight", expected)
    assert torch.equal(masker.masks["0.weight"], now)
    torch.testing.assert_close(network[0].weight.detach(), expected * now)


def test_weights_come_back_and_the_network_is_always_two_four(network, rule, train_step):
    masker, optimizer = SrSte(rule, 2e-4), sgd(network, 0.02, momentum=0.9, weight_decay=0.01)
    masker.attach(network, optimizer)
    first = masker.masks["0.weight"].clone()
    for _ in range(20):
        train_step(network, optimizer)
        assert is_two_four(network[0].weight, 1)
        assert not (network[0].weight.signbit() & (network[0].weight == 0)).any()
        assert not network[0].weight[~masker.masks["0.weight"]].any()
    assert (masker.masks["0.weight"] & ~first).any()


def test_decay_draws_pruned_weights_to_zero(network, rule, train_step):
    sizes = []
    for decay in (0.0, 1.0):
        model = copy.deepcopy(network)
        masker, optimizer = SrSte(rule, decay), sgd(model)
        masker.attach(model, optimizer)
        torch.manual_seed(1)
        for _ in range(5):
            train_step(model, optimizer)
        pruned = ~masker.masks["0.weight"]
        sizes.append(float(masker.state()["dense/0.weight"][pruned].abs().mean()))
    assert sizes[1] < 0.8 * sizes[0]


def test_a_new_phase_keeps_the_dense_weights(network, rule, train_step):
    masker, optimizer = SrSte(rule, 2e-4), sgd(network)
    masker.attach(network, optimizer)
    train_step(network, optimizer)
    dense = masker.state()["dense/0.weight"].clone()
    masker.attach(network, sgd(network))
    assert torch.equal(masker.state()["dense/0.weight"], dense)


def test_state_comes_back_whole_or_is_refused(network, rule, train_step):
    masker, optimizer = SrSte(rule, 2e-4), sgd(network)
    masker.attach(network, optimizer)
    for _ in range(3):
        train_step(network, optimizer)
    saved = {name: tensor.clone() for name, tensor in masker.state().items()}
    other = copy.deepcopy(network)
    torch.nn.init.normal_(other[0].weight)
    fresh = SrSte(rule, 2e-4)
    fresh.attach(other, sgd(other))
    fresh.load_state(saved)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in fresh.state().items())
    assert torch.equal(other[0].weight, network[0].weight)
    with pytest.raises(UserError, match="lacks its masks"):
        fresh.load_state({name: tensor for name, tensor in saved.items() if name.startswith("dense")})
