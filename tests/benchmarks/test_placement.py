"""The tables of the placement's policies: a difference that the seeds show too is none."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "benchmarks" / "tables.py"


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("values", "said"), [
    ([0.90, 0.92, 0.94], "no difference"), ([0.95, 0.95, 0.96], "no difference"), ([0.97, 0.98, 0.99], "+5.00 points"),
    ([0.87, 0.87, 0.87], "-6.00 points"),
])
def test_a_difference_within_the_spread_of_either_is_none(tables, values, said):
    assert tables.difference(values, [0.91, 0.93, 0.95]) == said


def test_a_policy_that_places_the_same_says_so(tables):
    row = {"policy": "tensorrt-sparse", "same_as": "tensorrt", "quantize": 45, "lint": {"warning": 2},
           "predicted": {"may": 20, "won't": 1}}
    assert tables.judged(row) == ["tensorrt-sparse (the same as tensorrt)", "45", "0, 2", "0, 20, 1"]
