import dataclasses
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.training.config import GradualConfig
from twofour.training.pruning.gradual import Gradual, share_at
from twofour.training.pruning.pattern import Filters


def run(network, rule, train_step, config, steps):
    masker, optimizer = Gradual(rule, config), torch.optim.SGD(network.parameters(), 0.005, momentum=0.9)
    masker.attach(network, optimizer)
    history = []
    for step in range(steps):
        masker.step(step, steps)
        train_step(network, optimizer)
        history.append(masker.masks["0.weight"].clone())
        assert not network[0].weight[~history[-1]].any()
    return masker, history


def test_it_closes_along_the_curve_and_ends_in_two_four_before_the_last_part(network, rule, train_step):
    _, history = run(network, rule, train_step, GradualConfig(begin=0.1, end=0.6, every=5), 50)
    gone = [int((~mask).sum()) for mask in history]
    expected = [round(64 * (1 - (1 - (step - 5) / 25) ** 3)) for step in (5, 10, 15, 20, 25)]
    assert gone[:5] == [0] * 5
    assert [gone[step] for step in (5, 10, 15, 20, 25)] == expected
    assert gone[30:] == [64] * 20
    assert (history[30].view(8, 4, 4).sum(2) == 2).all()
    assert all(torch.equal(mask, history[30]) for mask in history[30:])
    assert all(not (later & ~earlier).any() for earlier, later in pairwise(history))


@given(st.integers(1, 300), st.floats(0, 0.5), st.floats(0.51, 0.999), st.integers(1, 400))
def test_however_few_the_steps_the_pattern_becomes_whole(steps, begin, end, every):
    shares = [share_at(GradualConfig(begin=begin, end=end, every=every), step, steps) for step in range(steps)]
    said = [share for share in shares if share is not None]
    assert said[-1] == 1.0
    assert said == sorted(said)
    assert said.count(1.0) == 1


@pytest.mark.parametrize(("sparsity", "first"), [(0.5, 0.1), (0.9, 0.05 / 0.9), (0.04, 1.0)])
def test_a_first_share_of_the_weights_goes_at_once(sparsity, first):
    config = GradualConfig(initial=0.05, begin=0.1, end=0.5, every=1)
    shares = [share_at(config, step, 100, sparsity) for step in range(100)]
    assert shares[:10] == [None] * 10
    assert shares[10] == pytest.approx(first)
    assert shares[30] == pytest.approx(1 - (1 - first) * 0.5**3)
    assert shares[50] == 1.0
    assert shares[51:] == [None] * 49


def test_whole_filters_go_one_after_the_other_and_stay_gone(network, rule, train_step):
    filters = dataclasses.replace(rule, pattern=Filters(0.5))
    config = GradualConfig(initial=0.2, end=0.5, every=1)
    _, history = run(network, filters, train_step, config, 20)
    gone = [(~mask).flatten(1).all(1) for mask in history]
    assert all(torch.equal((~mask).flatten(1).any(1), row) for mask, row in zip(history, gone, strict=True))
    assert [int(row.sum()) for row in gone] == sorted(int(row.sum()) for row in gone)
    assert 0 < int(gone[0].sum()) < int(gone[-1].sum()) == len(gone[-1]) // 2
    assert all(not (earlier & ~later).any() for earlier, later in pairwise(gone))


def test_its_masks_come_back_or_are_refused(network, rule, train_step):
    config = GradualConfig(every=1)
    masker, _ = run(network, rule, train_step, config, 6)
    saved = {name: tensor.clone() for name, tensor in masker.state().items()}
    fresh = Gradual(rule, config)
    fresh.attach(network, torch.optim.SGD(network.parameters(), 0.1))
    assert fresh.masks["0.weight"].all()
    fresh.load_state(saved)
    assert torch.equal(fresh.masks["0.weight"], saved["0.weight"])
    with pytest.raises(UserError, match="another network's"):
        fresh.load_state({"0.weight": torch.ones(4, 4, dtype=torch.bool)})


@pytest.mark.parametrize(("begin", "end"), [(0.5, 0.5), (0.6, 0.2), (0.0, 1.0)])
def test_an_impossible_curve_is_refused(begin, end):
    with pytest.raises(ValueError, match="begin must be less than end"):
        GradualConfig(begin=begin, end=end)
