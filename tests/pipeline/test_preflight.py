import pytest

DIGITS = {"factory": "twofour.training.data:digits", "args": {"size": 8}}


def stages(**sparse):
    return {"training": [{"stage": "dense", "epochs": 1}, {"stage": "sparse", **sparse}]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (stages(layers={"exclude": ["bodi.*"]}), "The pattern 'bodi.*' matches no layer"),
        (stages(layers={"exclude": ["*"]}), "stem: excluded by the recipe; "),
        (stages(pattern="8:64"), "body.0.conv1: its reduction axis of 16 is no multiple of 64"),
        (stages(layers={"include": ["stem"]}), "in groups of 4: its reduction axis of 1"),
        (stages(precision="fp16"), "FP16 needs a GPU"),
        (stages(pattern="3:2"), "training.1.pattern"),
        (stages(phases=[{"epochs": 1, "data": {**DIGITS, "args": {"size": 99}}}, {"epochs": 1}]), "a size from 8"),
    ],
)
def test_what_cannot_be_pruned_stops_a_run_before_anything_is_trained(twofour, recipe, tmp_path, capsys, changes, said):
    assert twofour("run", recipe(**changes), "--out", tmp_path / "run", "--quiet") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "dense").exists()


@pytest.mark.parametrize(("placement", "warned"), [("tensorrt", True), ("onnxruntime", False)])
def test_a_placement_for_tensorrt_on_a_cpu_engine_is_said(recipe, tmp_path, capsys, placement, warned):
    from twofour.pipeline.preflight import preflight
    from twofour.pipeline.recipe import load

    preflight(load(recipe(calibrate={"placement": placement})).resolved(), tmp_path, None)
    assert ("placement: onnxruntime" in " ".join(capsys.readouterr().err.split())) == warned


def test_the_data_of_a_phase_counts_as_an_input():
    from twofour.pipeline import stages as pipeline_stages
    from twofour.pipeline.recipe import Recipe
    from twofour.training.config import TrainConfig

    def inputs(seed):
        phases = [{"epochs": 1, "data": {**DIGITS, "args": {"seed": seed}}}, {"epochs": 1}]
        recipe = Recipe(name="r", model={"factory": "twofour.training.models:tiny_resnet"}, data=DIGITS,
                        training=[TrainConfig(stage="dense", phases=phases)])
        return pipeline_stages.train(pipeline_stages.Context(recipe, {}), recipe.training[0]).inputs

    assert inputs(0) == inputs(0)
    assert inputs(0)["phases"] != inputs(1)["phases"]
