from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.engines.metrics import correct


@given(shape=st.lists(st.integers(1, 5), min_size=0, max_size=2), batch=st.integers(1, 6), classes=st.integers(2, 7))
def test_every_prediction_counts_once(shape, batch, classes):
    targets = np.random.default_rng(0).integers(0, classes, (batch, *shape))
    scores = np.eye(classes)[targets]
    if len(shape) == 2:
        scores = np.moveaxis(scores, -1, 1)
    assert correct(scores, targets) == (targets.size, targets.size)
    assert correct(-scores, targets)[0] == 0


def test_known_share():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert correct(scores, np.array([1, 1, 1])) == (2, 3)
    assert correct(scores, np.array([[1], [1], [1]])) == (2, 3)
    assert correct(np.array([0.5, -0.5]), np.array([1, 1])) == (1, 2)
    assert correct(np.array([[0.5], [-0.5]]), np.array([[1], [0]])) == (2, 2)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array([0, 1]), "don't fit"),
        (np.array([[0, 1, 1]]), "don't fit"),
        (np.array([0.0, 1.0, 1.0]), "integer classes"),
        (np.array([0, 1, 2]), "has 2 classes"),
        (np.array([0, -1, 1]), "from -1 to 1"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets, message):
    with pytest.raises(UserError, match=message):
        correct(np.zeros((3, 2)), targets)
