import pytest
import torch
import torch.nn.functional as F
from torch import nn

from twofour.common.errors import UserError
from twofour.training.distill import Distiller, divergence
from twofour.training.objective import Supervised


def test_a_student_that_agrees_has_no_divergence_and_gradients_keep_their_size():
    logits = torch.randn(5, 4)
    assert divergence(logits, logits, 3.0).abs() < 1e-6
    sizes = []
    for temperature in (10.0, 100.0):
        student = torch.zeros(5, 4, requires_grad=True)
        divergence(student, logits, temperature).backward()
        sizes.append(float(student.grad.norm()))
    assert 0.8 < sizes[0] / sizes[1] < 1.25


def test_the_weight_shares_the_loss_and_the_teacher_stays():
    teacher = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).train()
    inputs, logits, loss = torch.randn(4, 3), torch.randn(4, 2), torch.tensor(2.0)
    assert Distiller(teacher, 0.0, 2.0)(loss, logits, inputs, "") == loss
    mixed = Distiller(teacher, 0.25, 1.0)(loss, logits, inputs, "")
    told = F.softmax(teacher(inputs), 1)
    expected = 0.75 * 2 + 0.25 * F.kl_div(F.log_softmax(logits, 1), told, reduction="batchmean")
    assert torch.allclose(mixed, expected)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_of_masks_the_divergence_is_the_mean_over_their_pixels():
    student, teacher = torch.randn(2, 3, 4, 5, 5).unbind()
    flat = [logits.movedim(1, -1).reshape(-1, 4) for logits in (student, teacher)]
    assert torch.allclose(divergence(student, teacher, 2.0), divergence(*flat, 2.0))


@pytest.mark.parametrize("classes", [1, 4])
def test_a_teacher_of_other_classes_is_refused_on_the_first_batch(classes):
    student, loader = nn.Linear(3, 2).train(), [(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))]
    with pytest.raises(UserError, match=rf"shape \(2, {classes}\) and .* \(2, 2\)"):
        Supervised(0.0, Distiller(nn.Linear(3, classes), 0.5, 2.0)).check(student, loader)
    Supervised(0.0, Distiller(nn.Linear(3, 2), 0.5, 2.0)).check(student, loader)
    assert student.training
