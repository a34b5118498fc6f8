import json

import pytest
import yaml
from torch import nn

from twofour.common.bundle import Range
from twofour.common.errors import UserError
from twofour.export.config import ExportConfig
from twofour.export.stage import ExportRequest, export_bundle
from twofour.pipeline.preflight import preflight
from twofour.pipeline.recipe import Recipe
from twofour.pipeline.recipe import load as load_recipe
from twofour.pipeline.report.write import write_report
from twofour.pipeline.teaching import ACCURACY_ONLY

VIT = {"factory": "twofour.training.models:tiny_vit", "args": {"size": 8, "dim": 16, "depth": 1, "heads": 1}}
DATA = {"factory": "twofour.training.data:digits", "args": {"batch": 400, "size": 8}}
DENSE, SPARSE, QAT = {"stage": "dense", "epochs": 1}, {"stage": "sparse", "method": "gpusq"}, {
    "stage": "qat", "method": "gpusq"}


def written(tmp_path, training=(DENSE, SPARSE, QAT), **changes):
    path = tmp_path / "recipe.yaml"
    recipe = {"name": "gpusq", "model": VIT, "data": DATA, "training": list(training), **changes}
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ([DENSE, QAT], "gpusq in a qat stage learns from the sparse stage, and there is none"),
        ([DENSE, {**SPARSE, "distill": {"teacher": "dense"}}], "has a teacher and weights of its own"),
        ([DENSE, {**SPARSE, "gpusq": {"factors": "none"}}], "used in qat"),
        ([DENSE, {"stage": "sparse", "gpusq": {"soft": 2}}], "method of this stage is not gpusq"),
        ([DENSE, {**SPARSE, "gpusq": {"hard": 0, "soft": 0, "feature": 0}}], "nothing to learn from"),
        ([DENSE, {"stage": "sparse"}, QAT], "set it to none"),
        ([DENSE, {**SPARSE, "gpusq": {"feature": 0}}, QAT], "set it to none"),
        ([DENSE, {**SPARSE, "epochs": 0}, QAT], "set it to none"),
        ([DENSE, {**SPARSE, "gpusq": {"sofd": 1}}], "Did you mean 'soft'"),
        ([{"stage": "dense", "method": "gpusq"}], "dense stage can't use"),
        ([DENSE, SPARSE, {**QAT, "pairs": True}], "only the sparse stage prunes"),
        ([DENSE, {**SPARSE, "pairs": True, "pattern": "1:4"}], "pairs are of 2:4"),
        ([DENSE, {**SPARSE, "pairs": True, "permute": True}], "permute searches for 2:4"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path, training, said):
    with pytest.raises(UserError, match=said):
        load_recipe(written(tmp_path, training))


def test_without_factors_any_sparse_stage_can_teach(tmp_path):
    load_recipe(written(tmp_path, [DENSE, {"stage": "sparse"}, {**QAT, "gpusq": {"factors": "none"}}]))


def test_dense_teaches_sparse_and_sparse_teaches_qat(tmp_path):
    stages = load_recipe(written(tmp_path)).resolved().training
    assert [stage.teacher for stage in stages] == [None, "dense", "sparse"]


def test_four_bits_fill_in_what_they_need_and_leave_what_is_said(tmp_path):
    recipe = load_recipe(written(tmp_path, calibrate={"bits": 4})).resolved()
    assert recipe.calibrate.placement == "weights-and-inputs"
    assert recipe.calibrate.method == "mse"
    assert recipe.engines == []
    assert recipe.training[1].pairs is True
    again = Recipe.model_validate(recipe.document()).resolved()
    assert again == recipe
    said = load_recipe(written(tmp_path, [DENSE, {**SPARSE, "pairs": False}, QAT],
                        calibrate={"bits": 4, "placement": "onnxruntime", "method": "max"})).resolved()
    assert (said.calibrate.placement, said.calibrate.method, said.training[1].pairs) == ("onnxruntime", "max", False)
    assert load_recipe(written(tmp_path)).resolved().training[1].pairs is None


def test_engines_of_four_bits_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"accuracy.*no engine.*engines: \[\]"):
        load_recipe(written(tmp_path, calibrate={"bits": 4}, engines=[{"backend": "onnxruntime"}]))


@pytest.mark.slow
def test_a_run_of_four_bits_ends_with_its_accuracy_and_says_so(tmp_path, twofour, capsys):
    path, run = written(tmp_path, calibrate={"bits": 4}), tmp_path / "run"
    assert twofour("export", path, "--out", run) == 2
    assert ACCURACY_ONLY in " ".join(capsys.readouterr().err.split())
    assert not (run / "dense").exists()
    assert twofour("run", path, "--out", run, "--quiet") == 0
    assert ACCURACY_ONLY in " ".join(capsys.readouterr().out.split())
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary["stages"]) == {"dense", "sparse", "calibrate", "qat"}
    assert summary["engines"] == {}
    assert summary["note"] == ACCURACY_ONLY
    assert not (run / "bundle").exists()
    page = write_report(run).read_text()
    assert ACCURACY_ONLY in page
    assert "INT4 code stands for range ÷ 7" in " ".join(page.split())
    assert "twofour export" not in page
    record = json.loads((run / "sparse" / "stage.json").read_text())
    assert "sparse/features.json" in record["outputs"]
    assert "sparse/features.json" in json.loads((run / "qat" / "stage.json").read_text())["inputs"]["from"]["sparse"]
    assert twofour("run", run, "--quiet") == 0  # nothing is refused, and nothing is done again
    assert json.loads((run / "sparse" / "stage.json").read_text()) == record


def test_the_export_room_refuses_four_bits_too(tmp_path):
    entry = Range(tensor="head.input_quantizer", method="mse", amax=1.0, axis=None, bits=4)
    request = ExportRequest(name="x", network=nn.Identity(), val=[], config=ExportConfig(), layers=[], ranges=[entry],
                            metric="accuracy", metrics={})
    with pytest.raises(UserError, match=r"head\.input_quantizer: This quantizer has 4 bits"):
        export_bundle(request, tmp_path)


def test_unlabelled_samples_get_past_the_first_checks_only_where_no_label_is_read(tmp_path, load):
    load("training/gpusq/few_digits.py")
    data = {"factory": "twofour_tests.training.gpusq.few_digits:few", "args": {"size": 8, "hidden": True}}
    blind = {"gpusq": {"labels": False}}
    training = [{**DENSE, "epochs": 0}, {**SPARSE, "epochs": 1, **blind}, {**QAT, **blind}]
    preflight(load_recipe(written(tmp_path, training, data=data)).resolved(), tmp_path / "run", "train")
    with pytest.raises(AssertionError, match="a label was touched"):
        preflight(load_recipe(written(tmp_path, data=data)).resolved(), tmp_path / "run", "train")


def test_a_pattern_that_matches_nothing_stops_the_run_before_dense_training(tmp_path, twofour, capsys):
    path = written(tmp_path, [DENSE, {**SPARSE, "gpusq": {"critical": ["layer.*"]}}])
    assert twofour("train", path, "--out", tmp_path / "run") == 2
    assert "'layer.*' matches no layer" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "dense").exists()
