import errno
import os

import pytest

from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines.triton import publish as publishing
from twofour.engines.triton.model_config import signed
from twofour.engines.triton.publish import next_version, publish

CONFIG = signed('name: "net"\n')


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "elsewhere" / "engine"
    path.parent.mkdir()
    path.write_bytes(b"engine")
    return {"model.plan": (path, files.sha256(path))}


@pytest.fixture
def model(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "net"


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_new_model_appears_whole(model, source, monkeypatch):
    seen = []
    copy = publishing.shutil.copyfile
    monkeypatch.setattr(publishing.shutil, "copyfile", lambda *a: (seen.append(everything(model.parent)), copy(*a)))
    publish(model, 1, source, CONFIG)
    assert seen == [[]]
    assert everything(model.parent) == ["net", "net/1", "net/1/model.plan", "net/config.pbtxt"]
    assert (model / "1" / "model.plan").read_bytes() == b"engine"
    assert everything(model.parent.parent) == ["elsewhere", "elsewhere/engine", "models", *(
        f"models/{name}" for name in everything(model.parent))]


def test_the_next_version_is_whole_before_the_config_names_it(model, source, monkeypatch):
    publish(model, 1, source, CONFIG)
    seen = []
    write = publishing.write_text
    monkeypatch.setattr(publishing, "write_text", lambda path, text: (
        seen.append(((model / "2" / "model.plan").read_bytes(), (model / "config.pbtxt").read_text())),
        write(path, text)))
    publish(model, next_version(model), source, signed('name: "new"\n'))
    assert seen == [(b"engine", CONFIG)]
    assert (model / "config.pbtxt").read_text() == signed('name: "new"\n')
    assert everything(model) == ["1", "1/model.plan", "2", "2/model.plan", "config.pbtxt"]


@pytest.mark.parametrize(("names", "number"), [
    ([], 1), (["1"], 2), (["1", "7"], 8), (["9", "10"], 11), (["3.old"], 4), (["configs", "warmup"], 1), (["007"], 8),
])
def test_the_number_is_above_all_that_a_server_could_take_for_a_version(model, names, number):
    model.mkdir()
    for name in names:
        (model / name).mkdir()
    assert next_version(model) == number


def test_where_the_repository_is_a_volume_the_version_is_put_together_under_no_number(model, source, monkeypatch):
    monkeypatch.setattr(publishing.os, "access", lambda *a: False)
    copy, seen = publishing.shutil.copyfile, []
    monkeypatch.setattr(publishing.shutil, "copyfile", lambda a, b: (seen.append(b), copy(a, b)))
    publish(model, 1, source, CONFIG)
    assert [path.relative_to(model).parts[0][0] for path in seen] == ["."]
    assert everything(model) == ["1", "1/model.plan", "config.pbtxt"]


@pytest.mark.parametrize("beside", [True, False])
def test_what_goes_wrong_leaves_nothing(model, source, monkeypatch, beside):
    monkeypatch.setattr(publishing.os, "access", lambda *a: beside)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(publishing.shutil, "copyfile", full)
    with pytest.raises(UserError, match="no room"):
        publish(model, 1, source, CONFIG)
    assert everything(model.parent) == []
    assert everything(model.parent.parent) == ["elsewhere", "elsewhere/engine", "models"]


def test_a_config_that_cannot_be_replaced_takes_the_new_version_back(model, source, monkeypatch):
    publish(model, 1, source, CONFIG)

    def refuse(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "write_text", refuse)
    with pytest.raises(KeyboardInterrupt):
        publish(model, 2, source, CONFIG)
    assert everything(model) == ["1", "1/model.plan", "config.pbtxt"]


def test_a_file_that_changes_while_it_is_copied_is_refused(model, source):
    path, _ = source["model.plan"]
    with pytest.raises(UserError, match="changed while"):
        publish(model, 1, {"model.plan": (path, "0" * 64)}, CONFIG)
    assert everything(model.parent) == []


def test_what_a_killed_process_left_is_swept_and_other_files_stay(model, source):
    for place in (model.parent.parent, model):
        (place / ".models.net.12345.tmp" / "1").mkdir(parents=True)
        (place / ".models.net.tmp").mkdir()
    publish(model, 1, source, CONFIG)
    assert everything(model) == [".models.net.tmp", "1", "1/model.plan", "config.pbtxt"]
    assert not (model.parent.parent / ".models.net.12345.tmp").exists()
    assert (model.parent.parent / ".models.net.tmp").exists()


@pytest.mark.parametrize("content", [
    b'name: "mine"\n', CONFIG.encode() + b"max_batch_size: 1\n", CONFIG.replace("net", "other").encode(), b"\xff", b"",
])
def test_a_config_of_other_hands_is_kept(model, content):
    model.mkdir()
    (model / "config.pbtxt").write_bytes(content)
    with pytest.raises(UserError, match=r"config.pbtxt: .*by hand.*--name"):
        next_version(model)
