from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from twofour.export.reservoir import Reservoir, subset


def drawn(size: int, stream: range) -> list[int]:
    reservoir: Reservoir[int] = Reservoir(size)
    for item in stream:
        reservoir.offer(lambda item=item: item)
    return reservoir.rows()


@given(st.integers(1, 20), st.integers(0, 60))
def test_a_sample_is_in_order_without_repeats_and_the_same_each_time(size: int, length: int) -> None:
    rows = drawn(size, range(length))
    assert rows == sorted(set(rows))
    assert len(rows) == min(size, length)
    assert rows == drawn(size, range(length))
    if length <= size:
        assert rows == list(range(length))


def test_every_part_of_a_sorted_stream_is_drawn_alike() -> None:
    found = Counter(item // 5000 for item in drawn(1000, range(50_000)))
    assert len(found) == 10
    assert all(65 <= count <= 135 for count in found.values())  # 100 on average, deviation 9.5


@given(st.integers(0, 40), st.integers(1, 50))
def test_a_subset_has_no_repeats_and_is_the_same_each_time(count: int, size: int) -> None:
    chosen = subset(count, size)
    assert len(set(chosen)) == len(chosen) == min(count, size)
    assert set(chosen) <= set(range(count))
    assert chosen == subset(count, size)


def test_a_subset_is_drawn_from_everywhere() -> None:
    assert min(subset(1000, 100)) < 100
    assert max(subset(1000, 100)) >= 900
    assert subset(1000, 100) != sorted(subset(1000, 100))
