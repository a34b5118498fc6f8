import importlib
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from twofour.engines.config import Arm
from twofour.engines.records import Ratio
from twofour.pipeline.complaints import inner_documents
from twofour.pipeline.recipe import Recipe

ROOT = Path(__file__).parent.parent


def documents(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for below in inner_documents(field.annotation).values():
            found |= documents(below)
    return found


@pytest.mark.parametrize("model", sorted(documents(Recipe), key=lambda model: model.__name__))
def test_every_key_of_a_recipe_is_documented(model):
    text = (ROOT / "docs" / "recipe.md").read_text()
    for name, field in model.model_fields.items():
        assert re.search(rf"\b{field.alias or name}\b", text), f"{model.__name__}.{name} is not in docs/recipe.md"


@pytest.mark.parametrize("name", [*get_args(Arm), *get_args(Ratio.model_fields["verdict"].annotation)])
def test_every_arm_and_verdict_is_explained(name):
    text = (ROOT / "docs" / "engines.md").read_text()
    assert f"`{name}`" in text or f'"{name}"' in text


def test_links_between_the_documents_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            assert target.startswith("https://") or (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_tables_of_results_are_those_of_the_raw_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    assert (ROOT / "docs" / "results.md").read_text() == importlib.import_module("tables").page()
