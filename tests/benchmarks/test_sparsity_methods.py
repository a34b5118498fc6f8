"""The arms of the benchmark are stages that a recipe could have, and start from the same dense stage."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from twofour.pipeline.recipe import validated

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("sparsity_methods")
    finally:
        sys.path.remove(str(FOLDER))


def test_every_arm_is_a_stage_that_a_recipe_could_have(benchmark):
    for network in benchmark.NETWORKS:
        for data in benchmark.DATA:
            base = benchmark.recipe_of(network, data, 0).document()
            dense, _ = base["training"]
            for arm in benchmark.ARMS.values():
                sparse = {"stage": "sparse", **(arm.sparse or {})}
                for bits, keys in [(8, {}), *arm.quantized.values()]:
                    qat = {"stage": "qat", **keys}
                    changed = {"training": [dense, sparse, qat], "calibrate": {"bits": bits}, "engines": []}
                    validated(base | changed, FOLDER)


def test_all_arms_train_for_as_long_as_the_dense_network(benchmark):
    for network in benchmark.NETWORKS:
        dense, sparse = benchmark.recipe_of(network, "digits", 0).training
        for arm in benchmark.ARMS.values():
            epochs = benchmark.Case._merged(sparse, arm.sparse or {}).total_epochs
            assert epochs == (0 if "epochs" in (arm.sparse or {}) else dense.total_epochs)
