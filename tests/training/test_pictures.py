from __future__ import annotations

import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.training.config import DistillConfig, TrainConfig
from twofour.training.loaders import Loaders
from twofour.training.pictures import Reconstruction, check_methods

INPUTS = torch.zeros(2, 1, 4, 4)
TARGETS = torch.ones(2, 1, 4, 4)


def plus(value):
    network = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.fill_(value)
    return network


@pytest.mark.parametrize(("weight", "loss"), [(0.0, 0.75), (0.5, 0.75 / 2 + 1.75 / 2), (1.0, 1.75)])
def test_targets_and_teacher_share_the_loss(weight, loss):
    found = Reconstruction(plus(2.0), weight)(plus(0.25), INPUTS, TARGETS, "here")
    assert float(found.detach()) == pytest.approx(loss)
    found.backward()


def test_a_teacher_alone_needs_no_fitting_targets_and_without_one_they_must_fit():
    assert float(Reconstruction(plus(2.0), 1.0)(plus(0.0), INPUTS, TARGETS[:, 0], "here")) == pytest.approx(2.0)
    with pytest.raises(UserError, match="the targets have"):
        Reconstruction()(plus(0.0), INPUTS, TARGETS[:, 0], "here")


def test_a_teacher_does_not_learn():
    teacher = plus(1.0)
    assert not any(parameter.requires_grad for parameter in Reconstruction(teacher, 0.5).teacher.parameters())


def test_what_learns_from_a_teacher_alone_needs_no_pairs():
    data = Loaders([], [], [], metric="feature_distance")
    alone = DistillConfig(teacher="dense", weight=1)
    check_methods(data, [TrainConfig(stage="dense", method="supervised", epochs=0)])
    check_methods(data, [TrainConfig(stage="sparse", method="asp", epochs=1, distill=alone)])
    with pytest.raises(UserError, match="don't belong"):
        check_methods(data, [TrainConfig(stage="sparse", method="asp", epochs=1)])
    check_methods(Loaders([], [], []), [TrainConfig(stage="sparse", method="gpusq", epochs=1)])
