import json

import pytest
import yaml

from twofour.common.errors import UserError
from twofour.common.files import sha256
from twofour.pipeline.report.collect import collect


def test_a_finished_run_is_read_whole(finished):
    run = collect(finished)
    assert run.name == "digits-resnet"
    assert [stage.name for stage in run.stages] == [
        "dense", "sparse", "calibrate", "qat", "export", "build onnxruntime", "profile onnxruntime-cpu",
        "validate onnxruntime-cpu",
    ]
    assert all(stage.cost is not None for stage in run.stages)
    assert run.metrics("dense").value == 0.9889
    assert len(run.metrics("sparse").history) == 6
    assert len(run.layers) == 20
    assert len(run.ranges) == 40
    (engine,) = run.engines
    assert engine.profile.ratios[0].batch == 1
    assert engine.validation.samples == 360
    assert not engine.stale
    assert run.absent == {"tensorrt": "This machine has no NVIDIA GPU."}
    assert run.problems == []


def test_a_stopped_run_shows_what_it_has(stopped):
    run = collect(stopped)
    assert [(stage.name, stage.cost is not None) for stage in run.stages] == [("dense", True), ("sparse", False)]
    assert run.engines == run.layers == run.ranges == run.problems == []


def test_layers_and_ranges_come_from_the_stages_where_there_is_no_bundle(finished):
    (finished / "bundle/bundle.json").unlink()
    run = collect(finished)
    assert len(run.layers) == 20
    assert len(run.ranges) == 40


@pytest.mark.parametrize("content", ["{", "[]", '{"seconds": "long"}', "\xff"])
@pytest.mark.parametrize(
    "name",
    ["dense/stage.json", "qat/metrics.json", "bundle/bundle.json", "engines/onnxruntime-cpu/engine.json",
     "engines/onnxruntime-cpu/profile/profile.json", "summary.json"],
)
def test_a_damaged_file_is_named_and_the_rest_is_read(finished, name, content):
    (finished / name).write_bytes(content.encode("latin-1"))
    run = collect(finished)
    allowed = name == "summary.json" and content.startswith('{"')
    allowed = allowed or (name.endswith("metrics.json") and content.startswith('{"'))
    assert any(name in problem for problem in run.problems) is not allowed
    assert run.metrics("sparse") is not None


def test_a_damaged_recipe_is_named(finished):
    (finished / "recipe.yaml").write_text("a: [")
    run = collect(finished)
    assert run.name == "digits-resnet"
    assert any("recipe.yaml" in problem for problem in run.problems)


def test_an_engine_of_another_bundle_is_stale(finished):
    path = finished / "bundle/bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eval_metric": 0.5}))
    assert collect(finished).engines[0].stale


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        collect(tmp_path)


def link(run):
    """Record in every stage what it was made from, as a run does."""
    before = {}
    for name in ("dense", "sparse", "calibrate", "qat", "export"):
        path = run / name / "stage.json"
        metrics = run / name / "metrics.json"
        outputs = {f"{name}/metrics.json": sha256(metrics)} if metrics.exists() else {}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"inputs": {"from": before}, "outputs": outputs}))
        before = {name: outputs}


def retrained(run):
    """The dense stage was done again and gave another accuracy."""
    metrics = run / "dense" / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"accuracy": 0.9123}))
    record = run / "dense" / "stage.json"
    outputs = {"dense/metrics.json": sha256(metrics)}
    record.write_text(json.dumps(json.loads(record.read_text()) | {"outputs": outputs}))


def test_a_bundle_of_earlier_stages_is_stale_and_so_is_its_engine(finished):
    link(finished)
    run = collect(finished)
    assert not any(stage.stale for stage in run.stages)
    assert not run.engines[0].stale
    retrained(finished)
    run = collect(finished)
    assert [stage.name for stage in run.stages if stage.stale] == ["sparse", "calibrate", "qat", "export"]
    assert "done again" in run.engines[0].stale


def test_a_stage_that_is_being_done_again_is_not_finished(finished):
    link(finished)
    metrics = finished / "calibrate" / "metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    found = {stage.name: stage for stage in collect(finished).stages}
    assert found["calibrate"].cost is None
    assert found["qat"].stale
    assert found["export"].stale


def test_a_stage_that_left_the_recipe_is_not_shown(finished):
    link(finished)
    recipe = yaml.safe_load((finished / "recipe.yaml").read_text())
    recipe["training"] = [stage for stage in recipe["training"] if stage["stage"] != "qat"]
    (finished / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (finished / "qat" / "ranges.json").write_text("[")
    run = collect(finished)
    assert run.metrics("qat") is None
    assert [stage.name for stage in run.stages if stage.stale] == ["export"]
    assert run.engines[0].stale
    (finished / "bundle" / "bundle.json").unlink()
    run = collect(finished)
    assert len(run.ranges) == 40
    assert run.problems == []
