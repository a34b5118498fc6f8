import copy

import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.training.gan.check import check_fit, check_images
from twofour.training.gan.objective import Gan
from twofour.training.loaders import Loaders


@pytest.mark.parametrize("case", ["noise", "edges"])
def test_the_discriminator_learns_first_and_only_by_its_own_loss(adversary, case):
    generator, judge, inputs, targets = adversary(case, lr=1e-2)
    objective = Gan(judge)
    before = copy.deepcopy(judge.module.state_dict())
    loss = next(objective.terms(generator, inputs, targets, "here"))
    after = copy.deepcopy(judge.module.state_dict())
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    grown = [parameter.grad.clone() for parameter in judge.module.parameters()]
    loss.backward()
    assert any(parameter.grad.any() for parameter in generator.parameters())
    assert all(torch.equal(p.grad, g) for p, g in zip(judge.module.parameters(), grown, strict=True))


def test_it_learns_to_tell_real_from_made(adversary):
    generator, judge, inputs, targets = adversary("noise", lr=1e-3)
    made = generator(inputs)
    for _ in range(60):
        judge.learn(inputs, targets, made, "here")
    assert float(judge(inputs, targets).min().detach()) > float(judge(inputs, made).max().detach())


def test_its_rate_follows_the_schedule_and_a_frozen_one_stays(adversary):
    generator, judge, inputs, targets = adversary("noise", lr=1e-2)
    before = copy.deepcopy(judge.module.state_dict())
    judge.pace(0.0)
    judge.learn(inputs, targets, generator(inputs), "here")
    assert all(torch.equal(value, before[name]) for name, value in judge.module.state_dict().items())
    generator, judge, inputs, targets = adversary("noise", freeze=True)
    judge.learn(inputs, targets, generator(inputs), "here")
    assert not judge.optimizer.state


def test_a_conditional_one_looks_at_the_input(adversary):
    _, judge, inputs, targets = adversary("edges")
    assert not torch.equal(judge(inputs, targets), judge(-inputs, targets))


def test_a_loss_that_is_not_finite_is_the_discriminator_s(adversary):
    generator, judge, inputs, targets = adversary("noise")
    judge.module.head.weight.data.fill_(float("inf"))
    objective = Gan(judge)
    objective.start(3)
    with pytest.raises(UserError, match=r"epoch 3, train loader, batch 7.*discriminator's loss became"):
        next(objective.terms(generator, inputs, targets, "train loader, batch 7"))


def test_its_arithmetic_is_float32_under_autocast(adversary):
    generator, judge, inputs, targets = adversary("noise")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert judge(inputs, targets.bfloat16()).dtype == torch.float32
        loss = next(Gan(judge).terms(generator, inputs, targets, "here"))
    assert loss.dtype == torch.float32
    assert all(parameter.grad.dtype == torch.float32 for parameter in judge.module.parameters())


class Wrong(nn.Module):
    def forward(self, x):
        return x.mean()


def test_what_does_not_fit_is_told(networks):
    generator, discriminator, inputs, targets = networks("edges")
    check_fit(generator, discriminator, inputs, targets, "here")
    assert generator.training
    for wrong, given, real, said in [
        (generator, inputs, targets[..., :4], r"returned the shape \(2, 1, 8, 8\), and the real pictures have"),
        (generator, inputs, torch.zeros(32).long(), r"targets are torch.int64 of shape \(2,\), no pictures"),
        (nn.Linear(3, 3), inputs, targets, "can't take this batch"),
    ]:
        with pytest.raises(UserError, match=said):
            check_fit(wrong, discriminator, given, real, "here")
    other = networks("noise")[1]
    other.conditional = True
    with pytest.raises(UserError, match=r"doesn't fit the generator: it can't take inputs of shape .* with pictures"):
        check_fit(generator, other, inputs, targets, "here")
    with pytest.raises(UserError, match=r"returned \(\) for 2 pictures"):
        check_fit(generator, Wrong(), inputs, targets, "here")
    with pytest.raises(UserError, match="no accuracy"):
        check_images(Loaders([], [], []))
