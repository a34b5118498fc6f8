import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.training.gpusq.factors import FEATURES, factors, read_losses, write_losses

LOSSES = st.dictionaries(st.text("abc", min_size=1), st.floats(0, 1e6), min_size=1)


@pytest.mark.parametrize("kind", ["inverse", "none"])
@pytest.mark.parametrize("loss", [0.0, 1e-9, 3.0])
def test_equal_losses_give_ones(kind, loss):
    assert factors({"a": loss, "b": loss, "c": loss}, kind) == pytest.approx({"a": 1, "b": 1, "c": 1})


def test_a_larger_loss_gives_a_smaller_factor():
    found = factors({"a": 1.0, "b": 2.0, "c": 1.0}, "inverse")
    assert found == pytest.approx({"a": 1.2, "b": 0.6, "c": 1.2})
    assert factors({"a": 1.0, "b": 3.0}, "linear") == {"a": 0.75, "b": 0.25}
    assert factors({"a": 0.0, "b": 0.0}, "linear") == {"a": 1.0, "b": 1.0}


def test_factors_are_clipped():
    found = factors({"none": 0.0, **{f"{index}": 1.0 for index in range(20)}}, "inverse")
    assert found["none"] == 10.0
    assert found["3"] == 0.1


@given(LOSSES)
def test_factors_keep_the_order_and_the_bounds(losses):
    found = factors(losses, "inverse")
    assert all(0.1 <= value <= 10 for value in found.values())
    for first in losses:
        for second in losses:
            assert losses[first] <= losses[second] or found[first] <= found[second]


def test_losses_are_read_as_written_for_the_layers_asked(tmp_path):
    write_losses(tmp_path, {"a": 0.5, "b": 2.0}, {"a": 1.0, "b": 1.0})
    assert read_losses(tmp_path, ["b"]) == {"b": 2.0}
    with pytest.raises(UserError, match="no feature loss of c"):
        read_losses(tmp_path, ["a", "c"])


@pytest.mark.parametrize("content", [[], {}, {"losses": {"a": "b"}}, {"losses": {"a": -1}}, {"losses": [1]}])
def test_a_damaged_or_missing_file_is_told(tmp_path, content):
    with pytest.raises(UserError, match=r"left no feature losses.*factors: none"):
        read_losses(tmp_path, ["a"])
    (tmp_path / FEATURES).write_text(json.dumps(content))
    with pytest.raises(UserError, match="damaged"):
        read_losses(tmp_path, ["a"])
