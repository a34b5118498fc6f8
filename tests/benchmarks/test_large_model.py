"""A part of the large model's steps, measured again: the others stay, and the page says which are new."""

import importlib.util
from pathlib import Path

import pytest

from twofour.common import files, machine

FOLDER = Path(__file__).parents[2] / "benchmarks"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(depth=11, **gigabytes):
    steps = {name.replace("_", " "): {"seconds": 1.0, "peak_memory_bytes": int(size * 1e9)}
             for name, size in gigabytes.items()}
    steps["export"]["calibration"] = {"seconds": 2.0, "peak_memory_bytes": 10**9}
    return {"exporter": "dynamo", "weights": "float", "dim": 8, "depth": depth, "weight_bytes": 10**9, "steps": steps}


@pytest.fixture
def stored(tmp_path):
    there = {**machine.describe(), "cpu": "another"}
    path = tmp_path / "large_model.json"
    files.write_json(path, {"machine": there, "runs": [run(baseline=1, export=2, check=3)], "notes": ["a note"]})
    return path


def test_the_steps_that_were_left_out_stay_and_the_new_ones_are_marked(stored):
    found = loaded("large_model").merged(stored, run(export=4))
    assert found["notes"] == ["a note"]
    assert found["machine"]["cpu"] == "another"
    page = loaded("tables").large_model(found)
    assert "| calibration | 1.00 GB, 1.00 times, 2 s * |" in page
    assert "| export | 4.00 GB, 4.00 times, 1 s * |" in page
    assert "| check | 3.00 GB, 3.00 times, 1 s |" in page
    assert page.count("Measured later. Machine: ") == 1


def test_another_network_takes_the_place_of_all_steps(stored):
    found = loaded("large_model").merged(stored, run(depth=2, export=4))
    assert list(found["runs"][0]["steps"]) == ["export"]


def test_on_the_same_machine_nothing_is_marked(tmp_path):
    path = tmp_path / "large_model.json"
    files.write_json(path, loaded("large_model").merged(path, run(baseline=1, export=2)))
    found = loaded("large_model").merged(path, run(export=4))
    assert list(found["runs"][0]["steps"]) == ["baseline", "export"]
    assert "*" not in loaded("tables").large_model(found)
