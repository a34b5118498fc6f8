import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.training.group_knowledge.sampler import sample

KEEPS = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)
RHOS = st.floats(0.001, 1)
TABLE = [
    ([3, 4, 6, 3], {0.3: (0.91, 0.82, 0.74), 0.5: (0.83, 0.69, 0.58), 0.7: (0.74, 0.57, 0.45), 1: (0.63, 0.44, 0.34)}),
    ([9, 9, 9], {0.3: (0.95, 0.91, 0.86), 0.5: (0.89, 0.79, 0.69), 0.7: (0.78, 0.60, 0.46), 1: (0.55, 0.33, 0.22)}),
    ([18] * 3, {0.3: (0.98, 0.95, 0.93), 0.5: (0.94, 0.89, 0.83), 0.7: (0.87, 0.75, 0.63), 1: (0.53, 0.29, 0.17)}),
    ([2] * 4, {0.3: (0.89, 0.80, 0.73), 0.5: (0.83, 0.72, 0.65), 0.7: (0.80, 0.67, 0.60), 1: (0.75, 0.63, 0.56)}),
]


@given(KEEPS, RHOS, st.booleans(), st.integers(0, 99))
@settings(deadline=None)
def test_every_subnet_is_one_of_its_parent_and_keeps_a_block_in_each_stage(keep, rho, strict, seed):
    torch.manual_seed(seed)
    for _ in range(4):
        drawn = sample(keep, rho, strict)
        assert all(1 <= now <= before for now, before in zip(drawn, keep, strict=True))
        assert not strict or drawn != keep or max(keep) == 1
        keep = drawn


@given(KEEPS, st.booleans())
@settings(deadline=None)
def test_near_zero_nothing_is_lost_unless_it_must(keep, strict):
    drawn = sample(keep, 1e-30, strict)
    assert sum(keep) - sum(drawn) == (strict and max(keep) > 1)


def test_one_is_uniform():
    torch.manual_seed(0)
    counts = torch.bincount(torch.tensor([sample((5,), 1.0)[0] for _ in range(4000)]), minlength=6)
    assert counts[0] == 0
    assert counts[1:] / 4000 == pytest.approx(torch.full((5,), 0.2), abs=0.03)


@pytest.mark.parametrize(("blocks", "kept"), TABLE)
def test_the_mean_share_of_blocks_in_each_group(blocks, kept):
    draws, generation = 400, torch.manual_seed(0)
    for rho, shares in kept.items():
        sums = torch.zeros(3)
        for _ in range(draws):
            keep = tuple(blocks)
            for group in range(3):
                keep = sample(keep, rho)
                sums[group] += sum(keep) / sum(blocks)
        assert (sums / draws).tolist() == pytest.approx(shares, abs=0.03), (rho, generation)
