"""What the maps say of each group, against direct scoring of every partition."""

import numpy as np
import pytest

from twofour.training.permutation.clock import Clock
from twofour.training.permutation.columns import Columns, Features
from twofour.training.permutation.magnitude import kept_magnitude
from twofour.training.permutation.pairs import PairMap
from twofour.training.permutation.partitions import partitions
from twofour.training.permutation.triples import TripleMap


def features_of(matrix, order=None):
    return Features(Columns(matrix), np.arange(matrix.shape[1]) if order is None else order)


def directly(matrix, order, group):
    """The gain of every partition of that group."""
    columns = order.reshape(-1, 4)[list(group)].reshape(-1)
    kept = np.array([kept_magnitude(matrix[:, columns[way.reshape(-1)]]) for way in partitions(len(group))])
    return kept - kept[0]


@pytest.mark.parametrize(("kind", "exact"), [(np.float64, 1e-9), (np.float32, 2e-3)])
@pytest.mark.parametrize("rows", [1, 40, 300])
def test_pairs_say_what_direct_scoring_says(rows, kind, exact):
    random = np.random.default_rng(rows)
    matrix, order = random.standard_normal((rows, 24)).astype(kind), random.permutation(24)
    found = PairMap(features_of(matrix, order), Clock())
    for first in range(6):
        for second in range(first + 1, 6):
            gains = directly(matrix, order, (first, second))
            assert found.gain[first, second] == pytest.approx(gains.max(), abs=exact)
            assert gains[found.choice[first, second]] == pytest.approx(gains.max(), abs=exact)
    assert not np.tril(found.gain).any()


def test_triples_say_what_direct_scoring_says():
    random = np.random.default_rng(0)
    matrix, order = random.standard_normal((5, 16)), random.permutation(16)
    found = TripleMap(features_of(matrix, order), Clock())
    for group, gain, choice in zip(found.groups, found.gain, found.choice, strict=True):
        gains = directly(matrix, order, group)
        assert gain == pytest.approx(gains.max(), abs=1e-9)
        assert gains[choice] == pytest.approx(gains.max(), abs=1e-9)


@pytest.mark.parametrize("kind", [PairMap, TripleMap])
def test_an_update_leaves_nothing_stale(kind):
    random = np.random.default_rng(1)
    matrix = random.standard_normal((30, 24))
    features = features_of(matrix)
    found = kind(features, Clock())
    stripes = np.array([4, 1])
    features.put(stripes, random.permutation(features.stripes[stripes].reshape(-1)).reshape(2, 4))
    features.update(stripes)
    found.update(stripes)
    fresh = kind(features_of(matrix, features.order), Clock())
    assert np.allclose(found.gain, fresh.gain, atol=1e-12)
    assert np.array_equal(found.choice[fresh.gain > 0], fresh.choice[fresh.gain > 0])
    assert np.allclose(features.kept, features.columns.kept(features.stripes))


@pytest.mark.parametrize("kind", [PairMap, TripleMap])
def test_candidates_come_by_gain_and_can_be_forgotten_and_restored(kind):
    found = kind(features_of(np.random.default_rng(2).standard_normal((30, 32))), Clock())
    saved, groups = found.save(), found.candidates(0.0)
    assert len(groups) > 2
    found.forget(groups[0])
    assert np.array_equal(found.candidates(0.0), groups[1:])
    found.restore(saved)
    assert np.array_equal(found.candidates(0.0), groups)


@pytest.mark.parametrize("kind", [PairMap, TripleMap])
def test_without_time_nothing_is_a_candidate(kind):
    assert not len(kind(features_of(np.random.default_rng(3).standard_normal((30, 32))), Clock(0.0)).candidates(0.0))
