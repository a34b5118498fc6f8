"""Recipes with `method: adversarial_amendment`, from what is refused to a segmenting INT8 engine."""

import json

import numpy as np
import onnx
import pytest
import yaml

from twofour.common.errors import UserError
from twofour.pipeline.recipe import load as load_recipe

METHOD = "adversarial_amendment"
UNET = {"factory": "twofour.training.unet:tiny_unet", "args": {"widths": [16, 32]}}
VIT = {"factory": "twofour.training.models:tiny_vit", "args": {"size": 8, "dim": 16, "depth": 1, "heads": 1}}
NETS = "twofour_tests.training.amendment.nets"


@pytest.fixture(autouse=True)
def nets(load):
    return load("training/amendment/nets.py")


def dense(method=METHOD, epochs=1, **config):
    return {"stage": "dense", "epochs": epochs, "method": method, METHOD: config}


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (dense(attack_eps=1.5), "less than or equal to 1"),
        (dense(attack_eps="300/255"), "less than or equal to 1"),
        (dense(attack_eps=0), "greater than 0"),
        (dense(attack_eps="1/0"), "attack_eps"),
        (dense(mediate_rule="iterates"), "attack_steps of at least 2"),
        (dense(mediate_rule="none", use_endpoint=True), "all there is already"),
        (dense(mediate_points=5), "it is of mediate_rule grid"),
        (dense(gamma=0, vulnerability="loss"), "all samples count alike"),
        (dense(gama=1), "Did you mean 'gamma'"),
        (dense("supervised", gamma=0), "method of this stage is not adversarial_amendment"),
        ({**dense(), "stage": "sparse"}, "sparse stage can't use"),
    ],
)
def test_what_can_not_be_is_refused(recipe, stage, said):
    with pytest.raises(UserError, match=said):
        load_recipe(recipe(training=[stage] if stage["stage"] == "dense" else [dense(), stage]))


@pytest.mark.parametrize(("written", "meant"), [("4/255", 4 / 255), (" 0.5 / 100", 0.005), (0.25, 0.25)])
def test_a_share_of_the_range_can_be_written_as_a_quotient(recipe, written, meant):
    found = load_recipe(recipe(training=[dense(attack_eps=written, attack_step_size=written)])).resolved()
    config = found.training[0].adversarial_amendment
    assert (config.attack_eps, config.attack_step_size) == (meant, meant)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": VIT}, "no batch norm, so it can have no auxiliary one. Set `adversarial_amendment: {auxiliary: fal"),
        ({"data": {"factory": f"{NETS}:undeclared"}}, "attribute `bounds`"),
        ({"data": {"factory": f"{NETS}:whole_numbers"}}, "must be float"),
        ({"training": [{"stage": "dense", "method": METHOD, "phases": [
            {"epochs": 1, "data": {"factory": f"{NETS}:undeclared"}}, {"epochs": 1}]}]}, "doesn't declare the range"),
    ],
)
def test_what_cannot_be_attacked_stops_a_run_before_training(twofour, recipe, tmp_path, capsys, changes, said):
    path = recipe(**{"training": [dense()], **changes})
    assert twofour("run", path, "--out", tmp_path / "run", "--quiet") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "dense").exists()


@pytest.mark.slow
def test_a_segmenting_network_goes_from_amendment_to_a_validated_int8_engine(twofour, tmp_path):
    path, run = tmp_path / "recipe.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump({
        "name": "masks", "model": UNET, "data": {"factory": "twofour.training.data:digit_masks", "args": {"batch": 64}},
        "training": [{**dense(epochs=2, attack_eps="4/255"), "optimizer": {"lr": 0.05}},
                     {"stage": "sparse", "epochs": 1, "distill": {"teacher": "dense"}}, {"stage": "qat", "epochs": 1}],
        "calibrate": {"placement": "onnxruntime"}, "profile": {"batch": [1], "seconds": 0.05},
        "validate": {"max_drop": 0.02, "min_agreement": 0.99},
    }))
    assert twofour("run", path, "--out", run, "--quiet") == 0
    assert "dense/amendment.json" in json.loads((run / "dense" / "stage.json").read_text())["outputs"]
    recorded = np.load(run / "bundle" / "eval.npz")["targets"]
    assert recorded.shape == (360, 16, 16)
    engine = json.loads((run / "summary.json").read_text())["engines"]["onnxruntime-cpu"]
    assert engine["validation"]["value"] > 0.9 > (recorded == 0).mean()  # better than background everywhere
    assert engine["two_four_share"] > 0.95
    graph = onnx.load(run / "bundle" / "model.onnx").graph
    names = [name for node in graph.node for name in (node.name, *node.input, *node.output)]
    assert not [name for name in names if "auxiliary" in name or ".main" in name]
