"""The arms of compressed generators are equal in steps and optimizer, and start from one dense generator."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from twofour.training.pruning.pattern import pattern_of

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("methods_gan")
    finally:
        sys.path.remove(str(FOLDER))


def test_every_arm_takes_as_many_steps_with_the_same_optimizer(benchmark):
    for case, about in benchmark.CASES.items():
        stages = [benchmark.recipe_of(case, 0, said).training for said in benchmark.ARMS.values()]
        dense = stages[0][0]
        assert {sparse.epochs for _, sparse in stages} == {about["after"]}
        assert all(sparse.optimizer == dense.optimizer and sparse.gan == dense.gan for _, sparse in stages)
        small = benchmark.recipe_of(case, 0, width=about["small"]).training[0]
        assert small.epochs == about["epochs"] + about["after"]


def test_training_on_prunes_nothing(benchmark):
    sparse = benchmark.recipe_of("edges", 0, benchmark.NOTHING).training[1]
    assert pattern_of(sparse).mask(torch.rand(64, 64, 3, 3), 1).all()


def test_only_missing_arms_are_measured_after_the_dense_one(benchmark, monkeypatch):
    trained = []

    def train(request, folder):
        trained.append((request.model.factory[-10:], request.train.stage, request.student and request.student.name))
        (folder).mkdir(exist_ok=True)
        (folder / "metrics.json").write_text('{"feature_distance": 1.5, "loss": 2}')

    monkeypatch.setattr(benchmark, "train_stage", train)
    everything = {(case, arm) for case in benchmark.CASES for arm in ("dense", "small dense", *benchmark.ARMS)}
    assert list(benchmark.rows(0, everything)) == []
    missing = {("edges", "ours, 2:4"), ("noise", "dense"), ("noise", "small dense")}
    found = list(benchmark.rows(0, everything - missing))
    assert {(row["case"], row["arm"]) for row in found} == missing
    assert all(row.keys() == {"case", "arm", "feature_distance", "seconds"} for row in found)
    assert trained == [("_generator", "dense", None), ("_generator", "dense", None), ("translator", "dense", None),
                       ("translator", "sparse", "dense")]
