"""The loss, and what it reduces to: AdvProp, and mixed adversarial training."""

import copy

import pytest
import torch
import torch.nn.functional as F

from twofour.common.errors import UserError
from twofour.training.amendment.attack import Attack
from twofour.training.amendment.dual import DualNorm, aside
from twofour.training.amendment.objective import Amendment
from twofour.training.config import AdversarialAmendmentConfig

ADVPROP = {"mediate_rule": "none", "gamma": 0.0, "attack_eps": 0.1, "attack_step_size": 0.05, "attack_steps": 2}
HERE = "train loader, batch 0"


@pytest.fixture(scope="module", autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


def made(nets, model=None, smoothing=(), **changed):
    torch.manual_seed(0)
    objective, model = Amendment(AdversarialAmendmentConfig(**changed), [nets.BOUNDS], smoothing), model or nets.net()
    objective.adapt(model)
    objective.start(1)
    return objective, model.train()


def gradients(loss, model):
    """Of the loss, or of the terms one after the other, by parameter."""
    model.zero_grad()
    for term in [loss] if isinstance(loss, torch.Tensor) else loss:
        term.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def same(found, expected, factor=1.0):
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient, factor * expected[name], atol=1e-6, rtol=1e-5), name


@pytest.mark.parametrize("places", [(), (4, 4)])
def test_identity_1_without_mediate_and_weights_it_is_advprop(nets, places):
    objective, model = made(nets, nets.masker() if places else None, **ADVPROP)
    inputs, targets = nets.batch(places=places)
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    with aside(other):
        moved = Attack(0.1, 2, 0.05)(other, inputs, targets, nets.BOUNDS, HERE)[-1]
        harmed = other(moved)
    advprop = F.cross_entropy(torch.cat((other(inputs), harmed)), torch.cat((targets, targets)))  # mean over both
    expected = gradients(advprop, other)
    torch.manual_seed(1)
    same(gradients(objective.terms(model, inputs, targets, HERE), model), expected, 2.0)
    assert all(torch.equal(*pair) for pair in zip(model.buffers(), other.buffers(), strict=True))


def test_identity_2_with_one_batch_norm_it_is_mixed_adversarial_training(nets):
    objective, model = made(nets, auxiliary=False, **ADVPROP)
    assert not any(isinstance(module, DualNorm) for module in model.modules())
    inputs, targets = nets.batch()
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    moved = Attack(0.1, 2, 0.05)(other, inputs, targets, nets.BOUNDS, HERE)[-1]
    mixed = F.cross_entropy(other(torch.cat((inputs, moved))), torch.cat((targets, targets)))
    expected = gradients(mixed, other)
    torch.manual_seed(1)
    same(gradients(objective.terms(model, inputs, targets, HERE), model), expected, 2.0)
    assert all(torch.equal(*pair) for pair in zip(model.buffers(), other.buffers(), strict=True))


@pytest.mark.parametrize("auxiliary", [True, False])
def test_every_switch_away_from_them_changes_the_gradients(nets, auxiliary):
    torch.manual_seed(5)
    inputs, targets = nets.batch()
    found = []
    changes = ({}, {"gamma": 1.0}, {"gamma": -1.0}, {"mediate_rule": "uniform"}, {"eta": 0.5},
               {"attack_target": "random"}, {"attack_random_start": False}, {"gamma": 1.0, "vulnerability": "loss"},
               {"mediate_rule": "grid", "use_endpoint": True}, {"mediate_rule": "iterates"})
    for changed in changes:
        objective, model = made(nets, auxiliary=auxiliary, **{**ADVPROP, "attack_eps": 0.5, **changed})
        torch.manual_seed(1)
        found.append(gradients(objective.terms(model, inputs, targets, HERE), model)["0.weight"])
    for index, one in enumerate(found):
        assert not any(torch.allclose(one, other) for other in found[:index]), changes[index]


def test_the_benign_term_leaves_the_auxiliary_alone_and_the_amendment_the_main_one(nets):
    objective, model = made(nets, attack_eps=0.1)
    terms = objective.terms(model, *nets.batch(), HERE)
    next(terms).backward()
    main, auxiliary = model[1].main, model[1].auxiliary
    assert auxiliary.weight.grad is None
    assert int(auxiliary.num_batches_tracked) == 0
    kept = main.weight.grad.clone()
    next(terms).backward()
    assert torch.equal(main.weight.grad, kept)
    assert auxiliary.weight.grad is not None
    assert int(main.num_batches_tracked) == int(auxiliary.num_batches_tracked) == 1
    assert next(terms, None) is None


def test_terms_are_the_formula(nets):
    objective, model = made(nets, smoothing=[0.1], attack_eps=0.4, attack_step_size=0.4, eta=0.7, gamma=2.0,
                            mediate_rule="grid", mediate_points=1)
    inputs, targets = nets.batch()
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    found = list(objective.terms(model, inputs, targets, HERE))
    torch.manual_seed(1)
    benign = other(inputs)
    with aside(other):
        moved = Attack(0.4, 1, 0.4)(other, inputs, targets, nets.BOUNDS, HERE)[-1]
        other.eval()
        rows = torch.arange(len(targets))
        lost = other(inputs).softmax(1)[rows, targets] - other(moved).softmax(1)[rows, targets]
        counts = (1 + lost.clamp(0, 1)) ** 2
        other.train()
        losses = F.cross_entropy(other((inputs + moved) / 2), targets, reduction="none", label_smoothing=0.1)
    assert torch.allclose(found[0], F.cross_entropy(benign, targets, label_smoothing=0.1))
    assert torch.allclose(found[1], 0.7 * (counts / counts.mean() * losses).mean(), atol=1e-5)
    assert counts.std() > 0.01


def test_in_bf16_every_parameter_still_learns(nets):
    objective, model = made(nets, attack_eps=0.1)
    terms = objective.terms(model, *nets.batch(), HERE)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            loss = next(terms)
        model.zero_grad()
        loss.backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in model.named_parameters() if ".main." not in name} <= learned


@pytest.mark.parametrize(
    ("dtype", "bounds", "said"),
    [(torch.int64, (0.0, 1.0), "must be float"),
     (torch.float32, (torch.zeros(3, 1, 1), torch.ones(3, 1, 1)), "broadcast")],
)
def test_inputs_that_cannot_be_attacked_are_refused(nets, dtype, bounds, said):
    objective, model = made(nets)
    objective.bounds = [bounds]
    objective.start(1)
    with pytest.raises(UserError, match=said):
        objective.check(model, nets.samples(dtype).train)


def test_the_first_batch_is_checked_with_the_range_of_the_epoch_to_come(nets):
    objective, model = made(nets)
    unfit = (torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    objective.bounds = [unfit, nets.BOUNDS]
    objective.start(2)
    objective.check(model, nets.samples(torch.float32).train)
    objective.start(1)
    with pytest.raises(UserError, match="broadcast"):
        objective.check(model, nets.samples(torch.float32).train)
