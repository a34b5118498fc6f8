"""What tests of several rooms share: the command line in this process, and one finished run of a tiny recipe."""

import sys
from importlib import util
from pathlib import Path

import pytest
import yaml

TINY = {
    "name": "tiny",
    "model": {"factory": "twofour.training.models:tiny_resnet", "args": {"widths": [16, 32], "blocks": 1}},
    "data": {"factory": "twofour.training.data:digits", "args": {"size": 8}},
    "training": [
        {"stage": "dense", "epochs": 2},
        {"stage": "sparse", "epochs": 1, "distill": {"teacher": "dense"}},
        {"stage": "qat", "epochs": 1},
    ],
    "profile": {"batch": [1], "seconds": 0.05},
    "validate": {"max_drop": None, "min_agreement": None},
}


def call(*arguments) -> int:
    """Run a command in this process; its exit code."""
    from twofour import cli

    before, sys.argv = sys.argv, ["twofour", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="session")
def load():
    """Imports a helper of other tests, once, by its path below tests/: `load("engines/cuda/simulated.py")`."""

    def module(path: str):
        name = "twofour_tests." + path.removesuffix(".py").replace("/", ".")
        if name not in sys.modules:
            spec = util.spec_from_file_location(name, Path(__file__).parent / path)
            sys.modules[name] = made = util.module_from_spec(spec)
            spec.loader.exec_module(made)
        return sys.modules[name]

    return module


@pytest.fixture(autouse=True)
def audible():
    """No test is quiet because one before it was."""
    from twofour.common import console

    console.configure(quiet=False)


@pytest.fixture
def twofour():
    """The command: `twofour("run", recipe, ...)` gives the exit code."""
    return call


@pytest.fixture
def recipe(tmp_path):
    """Writes the tiny recipe with some keys replaced; gives its path."""

    def write(**changes) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}))
        return path

    return write


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The run folder of the tiny recipe, run to its end once; copy it before you harm it."""
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(TINY))
    assert call("run", path, "--out", folder / "run", "--quiet") == 0
    return folder / "run"
