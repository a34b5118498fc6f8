import torch
from hypothesis import given
from hypothesis import strategies as st

from twofour.training.pruning.pairs import Paired


@given(st.integers(1, 3), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_of_eight_weights_two_whole_pairs_stay_those_of_the_largest_sums(rows, groups, flipped, seed):
    scores = torch.rand(rows, 8 * groups, generator=torch.Generator().manual_seed(seed))
    mask = Paired().mask(scores.T if flipped else scores, 0 if flipped else 1)
    mask = mask.T if flipped else mask
    pairs, sums = mask.reshape(-1, 4, 2), scores.reshape(-1, 4, 2).sum(-1)
    assert torch.equal(pairs[..., 0], pairs[..., 1])
    assert (pairs[..., 0].sum(1) == 2).all()
    kept = torch.where(pairs[..., 0], sums, torch.inf).amin(1)
    gone = torch.where(pairs[..., 0], -torch.inf, sums).amax(1)
    assert (kept >= gone).all()


def test_the_first_of_equal_pairs_stay_and_it_is_no_two_four():
    mask = Paired().mask(torch.ones(1, 8), 1)
    assert mask.tolist() == [[True] * 4 + [False] * 4]
