from dataclasses import dataclass, field
from typing import Any

import pytest

from twofour.pipeline.report.chain import ORDER, outdated, planned


@dataclass
class Record:
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def chain(*names: str) -> dict[str, Record]:
    """Stages in a row, each made from the one before it; export also from the first."""
    records: dict[str, Record] = {}
    for before, name in zip([None, *names], names, strict=False):
        sources = [source for source in (names[0] if name == "export" else None, before) if source]
        made_from = {source: records[source].outputs for source in sources}
        records[name] = Record({"from": made_from}, {f"{name}/weights": f"{name} 1"})
    return records


def test_a_whole_chain_holds():
    assert outdated(chain(*ORDER), ORDER) == set()
    without = ("dense", "calibrate", "export")
    assert outdated(chain(*without), without) == set()


@pytest.mark.parametrize("changed", range(4))
def test_whatever_comes_after_a_changed_stage_is_outdated(changed):
    records = chain(*ORDER)
    records[ORDER[changed]].outputs = {"x": "2"}
    found = outdated(records, ORDER)
    assert found == set(ORDER[changed + 1 :])


@pytest.mark.parametrize("lost", range(4))
def test_whatever_comes_after_a_stage_without_a_record_is_outdated(lost):
    records = chain(*ORDER)
    del records[ORDER[lost]]
    assert outdated(records, ORDER) == set(ORDER[lost + 1 :])


@pytest.mark.parametrize(("had", "plan", "expected"), [
    (ORDER, ("dense", "sparse", "calibrate", "export"), {"export"}),  # qat was taken out of the recipe
    (("dense", "sparse", "calibrate", "export"), ORDER, {"export"}),  # and put in
    (ORDER, ("dense", "calibrate", "qat", "export"), {"calibrate", "qat", "export"}),
    (("dense", "calibrate", "export"), ("dense", "sparse", "calibrate", "export"), {"calibrate", "export"}),
])
def test_another_recipe(had, plan, expected):
    assert outdated(chain(*had), plan) == expected


def test_a_record_that_does_not_say_what_it_was_made_from_is_taken_to_fit():
    assert outdated({"dense": Record(), "calibrate": Record(), "export": Record({"from": None})}, ORDER) == set()


def test_the_plan_is_the_recipe_s():
    assert planned({}) == ORDER
    assert planned({"training": [{"stage": "dense"}, {"stage": "qat"}]}) == ("dense", "calibrate", "qat", "export")
    for odd in (None, "dense", [3], [{}]):
        assert planned({"name": "x", "training": odd}) == ("calibrate", "export")
