import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.pipeline.overrides import apply

BASE = {"name": "x", "training": [{"stage": "dense", "epochs": 3}, {"stage": "qat"}], "profile": None}


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("name=y", ["name"], "y"),
        ("training.0.epochs=5", ["training", 0, "epochs"], 5),
        ("training.qat.epochs=2", ["training", 1, "epochs"], 2),
        ("profile.batch=[1, 4]", ["profile", "batch"], [1, 4]),
        ("model.args.width=0.5", ["model", "args", "width"], 0.5),
        ("name=", ["name"], None),
        ("name=a=b", ["name"], "a=b"),
    ],
)
def test_one_place_is_changed(override, path, value):
    place = apply(BASE, [override])
    for part in path:
        place = place[part]
    assert place == value


def test_the_original_is_left_alone():
    apply(BASE, ["training.0.epochs=9"])
    assert BASE["training"][0]["epochs"] == 3


@pytest.mark.parametrize(
    "override", ["name", "=3", "training.7.epochs=1", "name.deep=1", "training.sparse.epochs=1", "a=["]
)
def test_what_can_not_be_set_is_refused(override):
    with pytest.raises(UserError, match="--set"):
        apply(BASE, [override])


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.integers())
def test_any_path_of_mappings_can_be_set(keys, value):
    place = apply({}, [f"{'.'.join(keys)}={value}"])
    for key in keys:
        place = place[key]
    assert place == value
