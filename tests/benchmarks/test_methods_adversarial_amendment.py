"""The arms of the benchmark differ in what they are called after, and in nothing else."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "methods_adversarial_amendment.py"


@pytest.fixture(scope="module")
def part():
    spec = importlib.util.spec_from_file_location("methods_adversarial_amendment", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_arms_share_network_data_optimizer_and_epochs(part):
    for case in part.CASES.values():
        recipes = {arm: part.recipe_of(case, arm, 0) for arm in part.ARMS}
        stages = {arm: recipe.training[0] for arm, recipe in recipes.items()}
        assert len({(str(recipe.model), str(recipe.data)) for recipe in recipes.values()}) == 1
        assert len({str(stage.optimizer) for stage in stages.values()}) == 1
        assert {stage.epochs for arm, stage in stages.items() if arm != part.LONG} == {case.epochs}
        assert stages[part.LONG].epochs == case.epochs * max(map(part.cost, part.ARMS))


def test_each_arm_lacks_what_its_name_says(part):
    found = {arm: part.recipe_of(part.CASES["digits"], arm, 0).training[0] for arm in part.ARMS}
    assert [arm for arm, stage in found.items() if stage.method == "supervised"] == [part.PLAIN, part.LONG]
    config = {arm: stage.adversarial_amendment for arm, stage in found.items()}
    parts = {arm: (one.auxiliary, one.mediate_rule != "none", one.gamma) for arm, one in config.items()}
    assert parts["one-BN adversarial"] == (False, False, 0)
    assert parts["AdvProp"] == (True, False, 0)
    assert parts["AdvProp + mediate (gamma 0)"] == (True, True, 0)
    assert parts["full (gamma 1)"] == (True, True, 1)
    assert parts["full, gamma -1"] == (True, True, -1)
    assert parts["full without mediate"] == (True, False, 1)
    assert parts["full without auxiliary"] == (False, True, 1)


def test_what_is_done_is_not_measured_again(part, monkeypatch):
    monkeypatch.setattr(part, "measured", lambda _case, _arm, seed: {"accuracy": seed})
    every = [(row["case"], row["arm"]) for row in part.rows(3, set())]
    assert set(every) == {(name, arm) for name, case in part.CASES.items() for arm in case.arms or part.ARMS}
    left = [(row["case"], row["arm"], row["accuracy"]) for row in part.rows(3, set(every[1:]))]
    assert left == [(*every[0], 3)]
