import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from twofour.common.errors import UserError
from twofour.training.config import GpusqConfig
from twofour.training.distill import divergence
from twofour.training.gpusq.objective import Gpusq

OFF = {"hard": 0, "soft": 0, "feature": 0}


class Net(nn.Module):
    """Networks of two seeds agree on some samples and not on others."""

    def __init__(self, seed, classes=3, width=4):
        super().__init__()
        torch.manual_seed(7)
        self.body, self.head = nn.Linear(5, width), nn.Linear(width, classes)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)

    def forward(self, x):
        return self.head(F.relu(self.body(x)))


def ask(teacher=None, factors=None, **config):
    return Gpusq(teacher or Net(1), GpusqConfig(**config), ["body"], factors)


@pytest.fixture
def batch():
    torch.manual_seed(3)
    return torch.randn(16, 5), torch.randint(0, 3, (16,))


def mse(student, teacher, inputs):
    return (student.body(inputs) - teacher.body(inputs)).square().mean(1)


def test_each_term_alone_is_what_it_says(batch):
    student, teacher = Net(0), Net(1)
    logits, told = student(batch[0]), teacher(batch[0])
    same = logits.argmax(1) == told.argmax(1)
    assert 0 < same.sum() < len(same)
    hard = ask(teacher, **{**OFF, "hard": 2})(student, *batch, "")
    assert torch.allclose(hard, 2 * F.cross_entropy(logits, batch[1]))
    soft = ask(teacher, **{**OFF, "soft": 3}, temperature=2)(student, *batch, "")
    assert torch.allclose(soft, 3 * divergence(logits, told, 2.0))
    feature = ask(teacher, **{**OFF, "feature": 4}, factors={"body": 0.5})(student, *batch, "")
    assert torch.allclose(feature, 4 * 0.5 * (mse(student, teacher, batch[0]) * same).mean())
    ungated = ask(teacher, **{**OFF, "feature": 4}, gate=False)(student, *batch, "")
    assert torch.allclose(ungated, 4 * mse(student, teacher, batch[0]).mean())


def test_the_defaults_are_one_ten_five_and_the_terms_add_up(batch):
    student, teacher = Net(0), Net(1)
    alone = [ask(teacher, **{**OFF, name: weight})(student, *batch, "")
             for name, weight in (("hard", 1), ("soft", 10), ("feature", 5))]
    assert torch.allclose(ask(teacher)(student, *batch, ""), sum(alone))


def test_where_all_predictions_differ_no_feature_counts(batch):
    student, teacher = Net(0), Net(0)
    with torch.no_grad():
        teacher.head.weight.neg_()
        teacher.head.bias.neg_()
        teacher.body.weight.add_(0.01)
    objective = ask(teacher, **{**OFF, "feature": 1})
    assert not (student(batch[0]).argmax(1) == teacher(batch[0]).argmax(1)).any()
    assert objective(student, *batch, "") == 0
    assert objective.losses == {"body": 0.0}


def test_the_teacher_learns_nothing_and_stays_in_eval_mode(batch):
    student, teacher = Net(0), nn.Sequential(Net(1), nn.Dropout(0.9)).train()
    before = copy.deepcopy(teacher.state_dict())
    objective = Gpusq(teacher, GpusqConfig(feature=0), [])
    objective(student, *batch, "").backward()
    assert not teacher.training
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_gradients_reach_the_student_through_its_features(batch):
    student = Net(0)
    ask(**{**OFF, "feature": 1})(student, *batch, "").backward()
    assert student.body.weight.grad.abs().sum() > 0
    assert student.head.weight.grad is None


def test_without_labels_the_teachers_prediction_is_the_hard_target(batch):
    student, teacher = Net(0), Net(1)
    loss = ask(teacher, **{**OFF, "hard": 1}, labels=False)(student, batch[0], torch.empty(0), "")
    assert torch.allclose(loss, F.cross_entropy(student(batch[0]), teacher(batch[0]).argmax(1)))


def test_losses_are_means_over_the_samples_of_the_last_epoch_without_factors(batch):
    student, teacher = Net(0), Net(1)
    objective = ask(teacher, factors={"body": 7.0}, gate=False)
    assert objective.losses == {}
    objective(student, batch[0] * 100, batch[1], "")
    objective.start(2)
    for part in (slice(0, 12), slice(12, 16)):
        objective(student, batch[0][part], batch[1][part], "")
    expected = mse(student, teacher, batch[0]).mean().item()
    assert objective.losses == pytest.approx({"body": expected})
    again = ask(teacher)
    again.load_state(objective.state())
    assert again.losses == objective.losses


def test_hooks_are_gone_after_a_step(batch):
    student, objective = Net(0), ask()
    objective(student, *batch, "")
    assert not student.body._forward_hooks
    assert not objective.teacher.body._forward_hooks


class Tuple(nn.Module):
    def forward(self, x):
        return (x * 2, None)


def test_of_a_layer_that_gives_several_things_the_first_tensor_counts(batch):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.net = Tuple(), Net(0)

        def forward(self, x):
            return self.net(self.twice(x)[0])

    objective = Gpusq(Two(), GpusqConfig(**{**OFF, "feature": 1}), ["twice"])
    assert objective(Two(), *batch, "") == 0
    assert objective.losses == {"twice": 0.0}


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        (Net(1, classes=4), r"teacher's answers have the shape \(2, 4\) and the student's \(2, 3\)"),
        (Net(1, width=6), r"features of 'body' have the shape \(2, 6\) and the student's \(2, 4\)"),
        (nn.Linear(5, 3), "no layer called 'body'"),
    ],
)
def test_a_teacher_that_does_not_match_is_refused(batch, teacher, said):
    with pytest.raises(UserError, match=said):
        ask(teacher).check(Net(0), [batch])


def test_labels_that_are_missing_or_wrong_are_refused_and_the_way_without_is_named(batch):
    student = Net(0)
    with pytest.raises(UserError, match=r"not a pair.*labels: false"):
        ask().check(student, [batch[0]])
    with pytest.raises(UserError, match="out of range"):
        ask().check(student, [(batch[0], batch[1] - 1)])
    for unlabelled in (batch[0], (batch[0],), batch):
        ask(labels=False).check(student, [unlabelled])


@pytest.mark.parametrize("layer", ["unused", "scalar"])
def test_a_layer_without_a_feature_per_sample_is_refused(batch, layer):
    class Odd(Net):
        def __init__(self):
            super().__init__(0)
            self.unused, self.scalar = nn.Linear(1, 1), nn.Flatten(0)

        def forward(self, x):
            self.scalar(x)
            return super().forward(x)

    with pytest.raises(UserError, match=f"layer '{layer}' gives"):
        Gpusq(Odd(), GpusqConfig(), [layer]).check(Odd(), [batch])


def test_checking_trains_nothing_and_keeps_the_mode(batch):
    student = Net(0).train()
    before = copy.deepcopy(student.state_dict())
    ask().check(student, [batch])
    assert student.training
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
