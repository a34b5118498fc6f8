import json
from dataclasses import replace

import pytest

from twofour.common.errors import UserError
from twofour.pipeline.stage import Stage, perform, read


def stage(value, counter):
    def work(run, _key):
        counter.append(value)
        (run / "s").mkdir(exist_ok=True)
        (run / "s" / "out.txt").write_text(str(value))
        return {"value": value}

    return Stage("s", "s", {"value": value}, work, lambda run: ["s/out.txt"])


def test_a_stage_is_done_once_and_again_when_its_inputs_change(tmp_path):
    counter = []
    assert perform(stage(1, counter), tmp_path)[1] is True
    record, done = perform(stage(1, counter), tmp_path)
    assert (counter, done) == ([1], False)
    assert record.metrics == {"value": 1}
    assert record.seconds >= 0
    assert record.peak_memory_bytes > 1 << 20
    perform(stage(2, counter), tmp_path)
    assert counter == [1, 2]


@pytest.mark.parametrize("harm", ["flip", "delete"])
def test_a_damaged_output_is_named_and_not_used(tmp_path, harm):
    perform(stage(1, []), tmp_path)
    output = tmp_path / "s" / "out.txt"
    output.write_text("2") if harm == "flip" else output.unlink()
    with pytest.raises(UserError, match=r"s/out\.txt"):
        perform(stage(1, []), tmp_path)


def test_a_damaged_record_is_named(tmp_path):
    perform(stage(1, []), tmp_path)
    (tmp_path / "s" / "stage.json").write_text(json.dumps({"stage": "s"}))
    with pytest.raises(UserError, match=r"stage\.json"):
        read(tmp_path, "s")


def fail(run, _key):
    raise UserError("no")


def test_a_stage_that_fails_at_once_leaves_the_old_result_in_force(tmp_path):
    counter = []
    perform(stage(1, counter), tmp_path)
    with pytest.raises(UserError):
        perform(Stage("s", "s", {"value": 2}, fail, lambda run: []), tmp_path)
    perform(stage(1, counter), tmp_path)
    assert counter == [1]


def test_a_stage_that_was_stopped_while_it_replaced_its_files_is_done_again(tmp_path):
    def half(run, _key):
        (run / "s" / "out.txt").write_text("half of 2")
        raise KeyboardInterrupt

    counter = []
    perform(stage(1, counter), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        perform(Stage("s", "s", {"value": 2}, half, lambda run: []), tmp_path)
    perform(stage(1, counter), tmp_path)
    assert counter == [1, 1]
    assert (tmp_path / "s" / "out.txt").read_text() == "1"
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["out.txt", "stage.json"]


def test_what_helped_to_resume_is_tidied_only_when_the_stage_is_on_record(tmp_path):
    seen = []

    def tidy(run):
        seen.append((run / "s" / "stage.json").is_file())

    perform(replace(stage(1, []), tidy=tidy), tmp_path)
    assert seen == [True]
