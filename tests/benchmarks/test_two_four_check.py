"""Polygraphy beside ours: stopped, it is said to have taken more."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("other", "said"), [
    (None, ["", "", ""]),
    ({"process_seconds": 90.0, "cpu_seconds": 8.0, "two_four": 5, "eligible": 5}, ["90.00", "5 of 5", "4.0"]),
    ({"process_seconds": 9.0, "cpu_seconds": 8.0, "two_four": 0, "eligible": 0}, ["9.00", "0 of 5", "it judges none"]),
    ({"process_seconds": 90.0, "cpu_seconds": 8.0, "stopped": True},
     ["stopped after 8 of processor time", "", "more than 4"]),
    ({"process_seconds": 90.0, "stopped": True}, ["stopped after 90 of time", "", "more than 30"]),
])
def test_what_the_table_says_of_polygraphy(other, said):
    assert loaded("tables").peer(other, {"process_seconds": 3.0, "cpu_seconds": 2.0, "layers": 5}) == said


def test_polygraphy_is_stopped_when_patience_ends_and_its_processor_time_is_kept(monkeypatch, tmp_path):
    benchmark = loaded("two_four_check")
    monkeypatch.setattr(benchmark, "PEER", "sum(range(10**6))\nimport time; time.sleep(60)")
    found = benchmark.polygraphy(tmp_path / "model.onnx", 1.0)
    assert found["stopped"]
    assert 1 <= found["process_seconds"] < 30
    assert found["cpu_seconds"] > 0
    monkeypatch.setattr(benchmark, "PEER", "print('Found sparse tensor: a\\nFound non-sparse tensor: b')")
    found = benchmark.polygraphy(tmp_path / "model.onnx", 60.0)
    assert (found["two_four"], found["eligible"]) == (1, 2)
