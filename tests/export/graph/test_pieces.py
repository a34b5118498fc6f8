from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.export.graph import groups
from twofour.export.graph.groups import count_groups
from twofour.export.graph.pieces import pieces

SHAPES = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@given(SHAPES, st.integers(0, 3), st.integers(1, 60))
def test_pieces_cover_everything_once_and_cut_no_group(shape: list[int], axis: int, size: int) -> None:
    axis %= len(shape)
    seen = np.zeros(shape, int)
    for piece in pieces(shape, axis, size):
        seen[piece] += 1
        assert piece[axis].start % 4 == 0 if len(piece) > axis else True
        assert seen[piece].size <= 4 * max(size, 1)
    assert (seen == 1).all()


@given(SHAPES, st.integers(0, 3), st.integers(1, 60), st.integers(0, 9))
def test_counts_don_t_depend_on_the_size_of_a_piece(shape: list[int], axis: int, size: int, seed: int) -> None:
    axis %= len(shape)
    mask = np.random.default_rng(seed).random(shape) < 0.6
    expected = count_groups(mask, axis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "pieces", partial(pieces, size=size))
        assert count_groups(mask, axis) == expected


def test_memory_is_bounded(monkeypatch: Any) -> None:
    longest = max(np.zeros((3000, 4000), bool)[piece].size for piece in pieces((3000, 4000), 0))
    assert longest <= 1 << 18
