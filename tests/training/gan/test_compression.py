"""The self-supervised loss."""

import copy

import pytest
import torch

from twofour.training.config import GanCompressionConfig, GanConfig
from twofour.training.gan.compression import GanCompression
from twofour.training.gan.losses import relative
from twofour.training.masks import MaskKeeper, two_four_mask

CASES = [("noise", 0.0), ("edges", 10.0)]
WHOLE = GanCompressionConfig()


@pytest.fixture
def objective(adversary):
    def made(case, reconstruction=0.0, config=WHOLE, **said):
        dense, judge, inputs, targets = adversary(case, reconstruction=reconstruction, **said)
        teacher = copy.deepcopy(dense)
        gan = GanConfig(reconstruction=reconstruction, **said)
        return dense.eval(), GanCompression(judge, teacher, gan, config), inputs, targets

    return made


def disturb(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)


@pytest.mark.parametrize(("case", "reconstruction"), CASES)
@pytest.mark.parametrize("ratio", ["batch_mean", "per_sample"])
def test_the_same_generator_costs_nothing_and_another_one_does(objective, case, reconstruction, ratio):
    config = GanCompressionConfig(ratio=ratio)
    generator, loss, inputs, targets = objective(case, reconstruction, config, freeze=True)
    generator.requires_grad_(True)
    same = loss(generator, inputs, targets, "here")
    assert float(same.detach()) == 0.0
    same.backward()
    assert all(not parameter.grad.any() for parameter in generator.parameters() if parameter.grad is not None)
    disturb(generator)
    assert float(loss(generator, inputs, targets, "here").detach()) > 0


@pytest.mark.parametrize("part", ["generator", "discriminator", "reconstruction"])
def test_the_gradient_goes_through_every_term(objective, part):
    from twofour.training.gan import compression

    generator, loss, inputs, targets = objective("edges", 10.0)
    disturb(generator)
    made = generator(inputs)
    with torch.no_grad():
        goal = compression.terms_of(loss.adversary, inputs, loss.teacher(inputs), targets)
    ours = compression.terms_of(loss.adversary, inputs, made, targets)
    relative(getattr(goal, part), getattr(ours, part)).backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in generator.parameters())


def test_the_teacher_gets_no_gradient_and_stays_as_it_was(objective):
    generator, loss, inputs, targets = objective("edges", 10.0, GanCompressionConfig(distill=1.0))
    before = copy.deepcopy(loss.teacher.state_dict())
    disturb(generator)
    generator.train()
    loss(generator, inputs, targets, "here").backward()
    assert all(parameter.grad is None for parameter in loss.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in loss.teacher.state_dict().items())


def test_the_loss_is_the_paper_s(objective):
    generator, loss, inputs, targets = objective("edges", 10.0, freeze=True)
    disturb(generator)
    softplus, judge = torch.nn.functional.softplus, loss.adversary

    def terms(pictures):
        told, real = judge(inputs, pictures).mean(1), judge(inputs, targets).mean(1)
        rec = (pictures - targets).abs().mean()
        return softplus(-told).mean(), rec, softplus(-real).mean() + softplus(told).mean()

    with torch.no_grad():
        goal, ours = terms(loss.teacher(inputs)), terms(generator(inputs))
    shares = [abs(float(a - b)) / float(a) for a, b in zip(goal, ours, strict=True)]
    expected = shares[0] + 10 * shares[1] + 0.5 * shares[2]
    assert float(loss(generator, inputs, targets, "here").detach()) == pytest.approx(expected, rel=1e-5)


def test_plain_distillation_is_the_difference_of_pictures_alone(objective):
    config = GanCompressionConfig(consistency=0.0, distill=2.0)
    generator, loss, inputs, targets = objective("noise", config=config, freeze=True)
    disturb(generator)
    expected = 2 * (generator(inputs) - loss.teacher(inputs)).abs().mean()
    assert torch.equal(loss(generator, inputs, targets, "here"), expected)


def test_a_frozen_reference_stays_while_the_discriminator_learns(objective):
    generator, loss, inputs, targets = objective("noise", config=GanCompressionConfig(reference="frozen"))
    before = copy.deepcopy(loss.adversary.module.state_dict())
    disturb(generator)
    loss(generator, inputs, targets, "here")
    assert any(not torch.equal(value, before[name]) for name, value in loss.adversary.module.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in loss.reference.state_dict().items())


def test_a_term_that_is_nearly_nothing_does_not_blow_up():
    goal, ours = torch.zeros(4), torch.full((4,), 1e-3)
    assert float(relative(goal, ours)) == pytest.approx(1.0)
    assert float(relative(goal, ours, "per_sample")) == pytest.approx(2.0)


def test_masks_of_transposed_convolutions_survive_adam_s_momentum(objective):
    generator, loss, inputs, targets = objective("noise")
    generator.train()
    weight = generator.body[0].conv.weight
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2, betas=(0.5, 0.999))
    for _ in range(2):
        optimizer.zero_grad()
        loss(generator, inputs, targets, "here").backward()
        optimizer.step()
    mask = two_four_mask(weight.detach(), 0)
    keeper = MaskKeeper(generator, {"body.0.conv.weight": mask})
    keeper.apply()
    keeper.attach(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        loss(generator, inputs, targets, "here").backward()
        optimizer.step()
        assert not weight[~mask].any()
    groups = mask.movedim(0, -1).reshape(-1, 4)
    assert (groups.sum(1) == 2).all()


@pytest.mark.parametrize("reference", ["current", "frozen"])
def test_a_discriminator_with_dropout_and_batch_norm_judges_both_alike(adversary, reference):
    dense, judge, inputs, targets = adversary("noise")
    judge.module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5),
                                       torch.nn.Flatten(), torch.nn.LazyLinear(1))
    judge.module(targets)  # gives the last layer its shape
    before = judge.module[1].running_mean.clone()
    config = GanCompressionConfig(reference=reference)
    loss = GanCompression(judge, copy.deepcopy(dense), GanConfig(), config)
    made = dense.eval()(inputs)
    assert float(loss.loss(made, inputs, targets, "here").detach()) == 0.0
    assert torch.equal(judge.module[1].running_mean, before)
    assert judge.module.training
