from itertools import permutations

import numpy as np
import pytest

from twofour.training.permutation.partitions import in_place, partitions


def canonical(order):
    return tuple(sorted(tuple(sorted(order[start : start + 4])) for start in range(0, len(order), 4)))


@pytest.mark.parametrize(("stripes", "count"), [(1, 1), (2, 35), (3, 5775)])
def test_every_way_is_listed_once_and_the_unchanged_one_is_first(stripes, count):
    found = partitions(stripes)
    assert found.shape == (count, stripes, 4)
    assert len({canonical(way.reshape(-1).tolist()) for way in found}) == count
    assert np.array_equal(found[0].reshape(-1), np.arange(4 * stripes))
    assert (np.sort(found.reshape(count, -1), axis=1) == np.arange(4 * stripes)).all()


def test_they_are_all_ways_of_eight_columns():
    assert {canonical(way.reshape(-1).tolist()) for way in partitions(2)} == set(map(canonical, permutations(range(8))))


def test_a_stripe_that_stays_whole_stays_where_it_is():
    moved = np.array([[0, 8, 9, 10], [1, 2, 3, 11], [4, 5, 6, 7]])
    assert in_place(moved).tolist() == [[0, 8, 9, 10], [4, 5, 6, 7], [1, 2, 3, 11]]
    for way in partitions(3)[::7]:
        assert canonical(in_place(way).reshape(-1)) == canonical(way.reshape(-1))


def test_columns_in_another_order_are_no_whole_stripe_of_their_own():
    assert canonical(in_place(np.array([[4, 1, 2, 3], [0, 5, 6, 7]])).reshape(-1)) == ((0, 5, 6, 7), (1, 2, 3, 4))
