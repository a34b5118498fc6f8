import json
import os
import re
from html.parser import HTMLParser

import pytest

from twofour.common.errors import UserError
from twofour.pipeline.report.collect import collect
from twofour.pipeline.report.write import commands, write_report

VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Checks that elements nest, and keeps what would load something."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


@pytest.mark.parametrize("kind", ["finished", "stopped", "hostile"])
def test_the_report_is_one_file_that_asks_for_nothing(kind, request):
    path = write_report(request.getfixturevalue(kind))
    assert path.name == "report.html"
    reader = read(path)
    assert all(source.startswith("#") or source == "data:," for source in reader.sources)
    assert not reader.tags & {"script", "img", "iframe", "object", "base", "form"}
    assert "url(" not in path.read_text(encoding="utf-8")
    assert "default-src 'none'" in path.read_text(encoding="utf-8")


def test_the_figures_of_the_records_are_in_it(finished):
    text = "".join(read(write_report(finished)).text)
    for part in (
        "98.61\u00a0%",
        "99.61\u00a0%",
        "3.78\u00d7",
        "no difference",
        "QLinearConv",
        "This machine has no NVIDIA GPU.",
    ):
        assert part in text
    assert "tiny_resnet" in text  # the recipe


def test_a_stopped_run_says_what_it_lacks(stopped):
    text = "".join(read(write_report(stopped)).text)
    for part in ("no engine yet", "No engine has been profiled", "has not been calibrated", "not finished"):
        assert part in text


def test_names_stay_text(hostile):
    text = "".join(read(write_report(hostile)).text)
    assert "<script>document.title='owned'</script>" in text
    assert "profile/profile.json could not be read" in text


def test_an_engine_of_another_bundle_is_said(finished):
    with (finished / "bundle/bundle.json").open("a") as file:
        file.write(" ")
    assert "built from another bundle" in "".join(read(write_report(finished)).text)


def test_a_new_dense_accuracy_does_not_stand_beside_an_old_engine(finished):
    path = finished / "export/stage.json"
    assert "outdated" not in write_report(finished).read_text()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"inputs": {"from": {"qat": {"qat/weights": "old"}}}}))
    text = "".join(read(write_report(finished)).text)
    assert "exported before stages of this run were done again" in text
    assert "outdated: not of this dense model" in text
    assert "run the recipe again" in text
    assert "gates are met" not in text


def test_the_commands_reproduce_what_was_asked(finished):
    found = [line for _, line in commands(collect(finished))]
    assert found[0] == "twofour run recipe.yaml --out ../digits-resnet-again"
    assert "twofour build bundle --backend onnxruntime --out engines/onnxruntime-cpu" in found
    assert "twofour profile engines/onnxruntime-cpu --batch 1 --batch 8 --seconds 3" in found
    assert "twofour validate engines/onnxruntime-cpu --max-drop 0.01 --min-agreement 0.995" in found
    assert found[-1] == "twofour report ."


@pytest.mark.parametrize(("options", "said"), [
    ({"max_drop": None, "min_agreement": None}, "--no-gates"),
    ({"max_drop": None, "min_snr_db": -2.5}, "--no-gates --min-agreement 0.995 --min-snr-db -2.5"),
    ({"max_drop": 0.1, "min_snr_db": 30}, "--max-drop 0.1 --min-agreement 0.995 --min-snr-db 30.0"),
])
def test_the_gates_are_reproduced(finished, options, said):
    path = finished / "engines/onnxruntime-cpu/validate/validation.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"options": content["options"] | options}))
    assert f"twofour validate engines/onnxruntime-cpu {said}" in [line for _, line in commands(collect(finished))]


def test_a_name_can_not_become_a_command(hostile):
    first = commands(collect(hostile))[0][1]
    assert re.fullmatch(r"twofour run recipe\.yaml --out '.*'", first.replace("'\"'\"'", ""))


def test_a_report_that_can_not_be_written_is_said(finished):
    (finished / "report.html").mkdir()
    with pytest.raises(UserError, match="can't be written"):
        write_report(finished)


def test_a_report_that_fails_leaves_the_old_one(finished, monkeypatch):
    path = write_report(finished)
    before = path.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="no room"):
        write_report(finished)
    assert path.read_bytes() == before
    assert [item.name for item in finished.iterdir() if item.name.endswith(".tmp")] == []
