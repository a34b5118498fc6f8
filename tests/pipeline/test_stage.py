import json

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
    perform(stage(1, counter), tmp_path)
    record = perform(stage(1, counter), tmp_path)
    assert counter == [1]
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


def test_a_stage_that_fails_leaves_no_record(tmp_path):
    def fail(run, _key):
        raise UserError("no")

    perform(stage(1, []), tmp_path)
    with pytest.raises(UserError):
        perform(Stage("s", "s", {"value": 2}, fail, lambda run: []), tmp_path)
    assert read(tmp_path, "s") is None
