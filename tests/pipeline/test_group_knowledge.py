import pytest

from twofour.common.errors import UserError
from twofour.pipeline.recipe import load as load_recipe

DENSE = {"stage": "dense", "epochs": 1, "method": "group_knowledge"}
VIT = {"factory": "twofour.training.models:tiny_vit", "args": {"size": 8, "dim": 16, "depth": 1, "heads": 1}}


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ([{"stage": "dense", "group_knowledge": {"groups": 3}}], "method of this stage is not group_knowledge"),
        ([{"stage": "dense"}, {"stage": "sparse", "method": "group_knowledge"}], "sparse stage can't use"),
        ([{**DENSE, "group_knowledge": {"survival": 0.5, "groups": 3}}], "stochastic depth, which has no groups"),
        ([{**DENSE, "group_knowledge": {"teacher": "main", "decay": 0.9}}], "decay: with teacher main"),
        ([{**DENSE, "group_knowledge": {"loops": 1, "aggregate": "last"}}], "aggregate: with teacher main"),
        ([{**DENSE, "group_knowledge": {"aggregate": "last", "decay": 0.9}}], "decay: aggregate is last"),
        ([{**DENSE, "group_knowledge": {"rho": 0}}], "rho"),
        ([{**DENSE, "group_knowledge": {"loops": 0}}], "loops"),
        ([{**DENSE, "group_knowledge": {"lops": 2}}], "Did you mean 'loops'"),
    ],
)
def test_what_can_not_be_is_refused(recipe, training, said):
    with pytest.raises(UserError, match=said):
        load_recipe(recipe(training=training))


def test_a_recipe_that_is_resolved_can_be_read_again(recipe):
    from twofour.pipeline.recipe import Recipe

    for config in ({}, {"survival": 0.5}, {"teacher": "main", "recalibrate": 100}):
        resolved = load_recipe(recipe(training=[{**DENSE, "group_knowledge": config}, {"stage": "sparse"}])).resolved()
        assert Recipe.model_validate(resolved.document()).resolved() == resolved
        assert [stage.method for stage in resolved.training] == ["group_knowledge", "asp"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"training": [DENSE]}, "body.0 (1 block), body.1 (1 block)"),
     ({"training": [DENSE], "model": VIT}, "no residual stage")],
)
def test_a_network_without_blocks_to_leave_out_stops_a_run_at_once(twofour, recipe, tmp_path, capsys, changes, said):
    assert twofour("run", recipe(**changes), "--out", tmp_path / "run", "--quiet") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "dense").exists()
