from pathlib import Path

import pytest
import yaml

from twofour.common.errors import UserError
from twofour.pipeline.recipe import load

DENSE = {"stage": "dense"}
GOOD = {
    "name": "job",
    "model": {"factory": "twofour.training.models:tiny_resnet"},
    "data": {"factory": "twofour.training.data:digits"},
    "training": [{"stage": "dense", "epochs": 4, "optimizer": {"lr": 0.2}}, {"stage": "sparse"}, {"stage": "qat"}],
}


def write(folder: Path, **changes) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return path


def test_what_is_left_out_is_filled_in_by_the_rules_of_the_workflow(tmp_path):
    dense, sparse, qat = load(write(tmp_path)).resolved().training
    assert (sparse.method, sparse.epochs, sparse.optimizer) == ("asp", dense.epochs, dense.optimizer)
    assert (qat.method, qat.epochs) == ("qat", 1)
    assert qat.optimizer.lr == pytest.approx(0.002)


def test_sparse_repeats_all_phases_of_dense_and_qat_fine_tunes_from_the_last(tmp_path):
    phases = [{"epochs": 20, "optimizer": {"name": "adamw", "lr": 0.1}, "data": {"factory": "a:b"}},
              {"epochs": 10, "optimizer": {"lr": 0.4}}]
    path = write(tmp_path, training=[{"stage": "dense", "phases": phases}, {"stage": "sparse"}, {"stage": "qat"}])
    dense, sparse, qat = load(path).resolved().training
    assert sparse.phases == dense.phases
    assert (sparse.epochs, sparse.optimizer, sparse.total_epochs) == (None, None, 30)
    assert (qat.phases, qat.epochs, qat.optimizer.name) == (None, 3, "sgd")
    assert qat.optimizer.lr == pytest.approx(0.004)
    path.write_text(yaml.safe_dump(load(path).resolved().document()))
    assert load(path).resolved().training == [dense, sparse, qat]
    fewer = write(tmp_path, training=[{"stage": "dense", "phases": phases}, {"stage": "sparse", "epochs": 4}])
    assert load(fewer).resolved().training[1].optimizer.lr == 0.4


def test_yaml_s_idea_of_two_to_four_is_understood(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("stage: sparse", "stage: sparse\n  pattern: 2:4"))
    assert load(path).training[1].pattern == "2:4"


def test_a_resolved_recipe_reads_back_as_itself(tmp_path):
    recipe = load(write(tmp_path)).resolved()
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(recipe.document()))
    assert load(again).resolved() == recipe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modle": {}}, "Did you mean 'model'?"),
        ({"training": [{"stage": "dense", "epoch": 3}]}, "Did you mean 'epochs'?"),
        ({"training": [{"stage": "dense", "epochs": -1}]}, "training.0.epochs"),
        ({"training": [{"stage": "dense", "epochs": "many"}]}, "training.0.epochs"),
        ({"training": [{"stage": "dense", "optimizer": {"lr": float("nan")}}]}, "training.0.optimizer.lr"),
        ({"training": [{"stage": "dense", "method": "asp"}]}, "can't use 'asp'"),
        ({"training": [{"stage": "sparse"}, {"stage": "dense"}]}, "in the order"),
        ({"training": [{"stage": "sparse"}]}, "model.weights"),
        ({"training": []}, "model.weights"),
        ({"training": [{"stage": "dense", "distill": {"teacher": "sparse"}}]}, "no earlier stage"),
        ({"training": [{"stage": "dense", "layers": {"exclude": ["stem"]}}]}, "only the sparse stage"),
        ({"training": [{"stage": "dense", "pattern": "4:8"}]}, "training.0.pattern: only the sparse stage prunes"),
        ({"training": [DENSE, {"stage": "sparse", "pattern": "4:4"}]}, "training.1.pattern: a pattern is `2:4`"),
        ({"training": [DENSE, {"stage": "sparse", "sparsity": 0.9}]}, "training.1.sparsity: the pattern 2:4 says it"),
        ({"training": [DENSE, {"stage": "sparse", "sr_ste": {"decay": 1}}]}, "training.1.sr_ste: the method of this"),
        ({"training": [{"stage": "dense", "method": "gradual"}]}, "can't use 'gradual'"),
        ({"training": [DENSE, {"stage": "sparse", "gradual": {"begin": 0.9}}]}, "training.1.gradual: begin must be"),
        ({"training": [{"stage": "dense", "average": 1.0}]}, "training.0.average"),
        ({"training": [{"stage": "dense", "precision": "int8"}]}, "training.0.precision"),
        ({"training": [{"stage": "dense", "phases": []}]}, "training.0.phases"),
        ({"training": [{"stage": "dense", "epochs": 1, "phases": [{"epochs": 1}]}]}, "own epochs and optimizer"),
        ({"training": [{"stage": "dense", "phases": [{"epochs": 1}, {"epochs": 0}]}]}, "needs an epoch"),
        ({"training": [{"stage": "dense", "phases": [{"epochs": 1, "data": {"factory": "a:b"}}]}]}, "it names none"),
        ({"engines": [{"backend": "onnxruntime"}, {"backend": "onnxruntime"}]}, "listed once"),
        ({"engines": [{"backend": "abacus"}]}, "engines.0.backend"),
        ({"engines": [{"backend": "onnxruntime", "rest": "fp16"}]}, "'rest' in 'engines.0'"),
        ({"engines": [{"backend": "tensorrt", "max_batch": 2}]}, "engines.0: the batches must"),
        ({"engines": [{"backend": "tensorrt", "rest": "fp8"}]}, "engines.0.rest"),
        ({"profile": {"batch": []}}, "profile.batch"),
        ({"calibrate": {"placement": "tensort"}}, "calibrate.placement: Input should be 'tensorrt'"),
        ({"validate": {"max_dorp": 1}}, "Did you mean 'max_drop'?"),
        ({"name": "../up"}, "name"),
        ({"model": None}, "model"),
        ({"data": {"factory": 3}}, "data.factory"),
        ({"model": {"factory": "a:b", "weights": "no/such/file.safetensors"}}, "no/such/file.safetensors"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_place(tmp_path, changes, said):
    with pytest.raises(UserError) as error:
        load(write(tmp_path, **changes))
    assert said in str(error.value)
    assert "recipe.yaml" in str(error.value)


def test_a_value_of_several_types_is_wrong_once(tmp_path):
    with pytest.raises(UserError) as error:
        load(write(tmp_path, calibrate={"placement": "tensort"}))
    assert "more to mend" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "empty"), ("# only a comment", "empty"), ("a: [", "line 1"), ("- 1", "a list"), ("\x00", "not YAML")],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, said):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        load(path)


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such recipe"):
        load(tmp_path / "none.yaml")


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: x\nmodel: {factory: 'a:b'}\n")
    with pytest.raises(UserError, match="'data' is missing"):
        load(path)


def test_given_weights_are_measured_as_the_dense_stage(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"")
    model = {"factory": "a:b", "weights": str(weights)}
    training = [{"stage": "sparse", "epochs": 3, "distill": {"teacher": "dense"}}]
    dense, sparse = load(write(tmp_path, model=model, training=training)).resolved().training
    assert (dense.stage, dense.epochs) == ("dense", 0)
    assert sparse.epochs == 3


def test_a_stage_that_says_part_of_the_optimizer_has_the_rest_from_dense(tmp_path):
    training = [
        {"stage": "dense", "epochs": 2, "optimizer": {"name": "adamw", "lr": 0.002}},
        {"stage": "sparse", "optimizer": {"lr": 0.001}},
        {"stage": "qat", "optimizer": {"clip": 1.0}},
    ]
    _, sparse, qat = load(write(tmp_path, training=training)).resolved().training
    assert (sparse.optimizer.name, sparse.optimizer.lr) == ("adamw", 0.001)
    assert (qat.optimizer.name, qat.optimizer.clip) == ("adamw", 1.0)
    assert qat.optimizer.lr == pytest.approx(2e-5)
