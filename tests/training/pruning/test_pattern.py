import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.training.config import TrainConfig, pattern_numbers
from twofour.training.masks import is_two_four
from twofour.training.pruning.partial import partial
from twofour.training.pruning.pattern import Filters, Grouped, Unstructured, pattern_of


def scores(seed, *shape):
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(seed)).float()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(1, 7), st.integers(2, 8), st.sampled_from([0, 1]))
def test_every_group_keeps_its_largest(seed, kept, group, axis):
    kept = min(kept, group - 1)
    shape = [3, 2]
    shape.insert(axis, 2 * group)
    values = scores(seed, *shape)
    mask = Grouped(kept, group).mask(values, axis)
    groups = mask.movedim(axis, -1).reshape(-1, group)
    sizes = values.movedim(axis, -1).reshape(-1, group)
    order = sizes.sort(dim=1, descending=True, stable=True).indices[:, :kept]
    assert torch.equal(groups, torch.zeros_like(groups).scatter_(1, order, True))


def test_two_of_eight_is_two_four_only_where_a_four_holds_no_more_than_two():
    mask = Grouped(2, 8).mask(torch.tensor([[9.0, 8, 0, 0, 0, 0, 0, 0]]), 1)
    assert is_two_four(mask, 1)
    assert not is_two_four(Grouped(4, 8).mask(torch.tensor([[9.0, 8, 7, 6, 0, 0, 0, 0]]), 1), 1)


def test_nan_stays_so_that_it_is_seen():
    assert Grouped().mask(torch.tensor([[float("nan"), 1.0, 2.0, 3.0]]), 1).tolist() == [[True, False, False, True]]


@given(st.floats(0.01, 0.99), st.integers(0, 99))
def test_unstructured_prunes_its_share_of_a_layer(sparsity, seed):
    values = scores(seed, 4, 3, 5)
    mask = Unstructured(sparsity).mask(values, 1)
    assert int((~mask).sum()) == round(sparsity * 60)
    assert values[mask].min() >= values[~mask].max() if 0 < int(mask.sum()) < 60 else True


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.floats(0.01, 0.99), st.sampled_from([0, 1]), st.floats(0, 1))
def test_whole_filters_go_those_of_the_smallest_norm_first(seed, sparsity, axis, share):
    values = scores(seed, *((6, 12, 3, 3) if axis == 0 else (12, 6, 3, 3)))
    filters = values.movedim(1 - axis, 0).flatten(1).sum(1)
    whole, way = (made.movedim(1 - axis, 0).flatten(1) for made in (
        Filters(sparsity).mask(values, axis), Filters(sparsity).partial(values, axis, share)))
    assert torch.equal(whole.all(1), whole.any(1))
    assert torch.equal(way.all(1), way.any(1))
    gone = ~whole[:, 0]
    assert int(gone.sum()) == round(12 * sparsity)
    assert int((~way[:, 0]).sum()) == round(share * round(12 * sparsity))
    assert not (~way[:, 0] & ~gone).any()
    if 0 < int(gone.sum()) < 12:
        assert filters[gone].max() <= filters[~gone].min()


def test_a_filter_with_a_weight_that_is_nan_stays():
    values = torch.ones(4, 2)
    values[0, 0] = float("nan")
    assert Filters(0.5).mask(values, 1)[:, 0].tolist() == [True, False, False, True]


def test_a_mask_on_its_way_prunes_the_lowest_of_what_the_whole_one_prunes():
    values = torch.tensor([[4.0, 3, 2, 1], [9, 9, 8, 0]])
    whole = Grouped().mask(values, 1)
    assert torch.equal(partial(whole, values, 1.0), whole)
    assert partial(whole, values, 0.0).all()
    assert partial(whole, values, 0.5).tolist() == [[True, True, True, False], [True, True, True, False]]


def test_a_stage_says_its_pattern():
    def made(**said):
        return pattern_of(TrainConfig(stage="sparse", **said))

    assert made() == Grouped(2, 4)
    assert made(pattern="4:8") == Grouped(4, 8)
    assert made(pattern="filters", sparsity=0.25) == Filters(0.25)
    assert [made(**said).sparsity for said in ({}, {"pattern": "1:4"}, {"pairs": True})] == [0.5, 0.75, 0.5]
    assert made(pattern=124) == Grouped(2, 4)  # what YAML makes of 2:4 without quotes
    assert made(pattern="unstructured", sparsity=0.75) == Unstructured(0.75)
    assert made(pattern="unstructured").text == "50 % unstructured"


@pytest.mark.parametrize("pattern", ["4:4", "0:4", "5:4", "2:4:8", "2:128", "two of four", "", "2 : 4"])
def test_an_impossible_pattern_is_refused(pattern):
    with pytest.raises(ValueError, match="0 < N < M"):
        pattern_numbers(pattern)
