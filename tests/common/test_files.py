import os
import pickle
import resource
import signal
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twofour.common import files
from twofour.common.errors import UserError


def write_half(path):
    with files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a" / "f.txt"
    with pytest.raises(RuntimeError):
        write_half(path)
    assert list(path.parent.iterdir()) == []
    files.write_text(path, "whole")
    with pytest.raises(RuntimeError):
        write_half(path)
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["f.txt"]


@pytest.fixture
def little_room():
    """The kernel itself refuses to write beyond 64 KiB, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, little_room):
    path = tmp_path / "f.npz"
    files.save_npz(path, {"x": np.zeros(3)})
    old = path.read_bytes()
    noise = np.random.default_rng(0).random(100_000)
    with pytest.raises(UserError, match="no room left"):
        files.save_npz(path, {"x": noise})
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/below"):
        files.write_text(tmp_path / "file" / "below" / "x", "")


@given(
    st.dictionaries(
        st.text("abc/._0", min_size=1, max_size=8).filter(lambda name: name not in ("file", "allow_pickle")),
        arrays.arrays(st.sampled_from(["f4", "i8", "u1", "?"]), arrays.array_shapes(max_side=3)),
        min_size=1,
        max_size=3,
    )
)
def test_arrays_come_back_as_they_were(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    files.save_npz(path, values)
    loaded = files.load_npz(path)
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        assert loaded[name].dtype == value.dtype
        np.testing.assert_array_equal(loaded[name], value)


def test_a_pickle_in_an_npz_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    np.savez(tmp_path / "x.npz", x=np.array([Bomb()], dtype=object))
    with pytest.raises(UserError, match="pickled Python objects"):
        files.load_npz(tmp_path / "x.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"nonsense"])
def test_a_damaged_npz_is_said(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.npz"):
        files.load_npz(path)


def test_a_damaged_npz_never_ends_in_a_bug(tmp_path):
    path, random = tmp_path / "x.npz", np.random.default_rng(0)
    files.save_npz(path, {"a/b": np.arange(40.0), "c": np.arange(5)})
    whole = path.read_bytes()
    for _ in range(150):
        content = bytearray(whole[: random.integers(1, len(whole) + 1)] if random.random() < 0.2 else whole)
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        path.write_bytes(content)
        with suppress(UserError):
            files.load_npz(path)


@pytest.mark.parametrize("write", [
    lambda path: np.save(path, np.zeros(3)),
    lambda path: path.write_bytes(pickle.dumps([1])),
    lambda path: zipfile.ZipFile(path, "w").writestr("readme.txt", "no array"),
])
def test_a_file_of_another_kind_is_not_said_to_be_a_pickle(tmp_path, write):
    write(tmp_path / "x.npy")
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(UserError, match=r"x\.npz: This file is damaged"):
        files.load_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("read", [files.sha256, files.read_json, files.load_npz])
@pytest.mark.parametrize(("error", "said"), [
    (PermissionError(13, "Permission denied"), "can't be read .Permission denied.*permissions"),
    (OSError(5, "Input/output error"), "can't be read .Input/output error"),
    (FileNotFoundError(2, "No such file"), "missing"),
])
def test_a_file_that_can_not_be_read_is_named(tmp_path, monkeypatch, read, error, said):
    def refuse(*_args, **_options):
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match=f"x: This file .*{said}"):
        read(tmp_path / "x")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    for read in (files.sha256, files.read_json, files.load_npz):
        with pytest.raises(UserError, match="can't be read"):
            read(tmp_path)


def test_a_changed_or_lost_file_is_named(tmp_path):
    (tmp_path / "a").write_text("1")
    known = files.hashes(tmp_path, ["a"])
    files.verify(tmp_path, known, "Do it again.")
    (tmp_path / "a").write_text("2")
    with pytest.raises(UserError, match=r"/a: .*damaged.*Do it again"):
        files.verify(tmp_path, known, "Do it again.")
    (tmp_path / "a").unlink()
    with pytest.raises(UserError, match="missing"):
        files.verify(tmp_path, known, "")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="leads out"):
        files.inside(inner, name)


def test_threads_that_write_the_same_file_leave_one_whole_version(tmp_path):
    path = tmp_path / "x.json"
    writers = [threading.Thread(target=files.write_json, args=(path, [index] * 1000)) for index in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(set(files.read_json(path))) == 1


def test_what_a_killed_process_left_is_swept(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("x.json", "deep/.x.json.12-34.tmp", ".y.npz.1-2.tmp"):
        (tmp_path / name).write_text("")
    for name in ("deep/.engine.onnx.77.tmp", ".bundle.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half.onnx").write_text("")
    files.sweep(tmp_path)
    assert [item.name for item in sorted(tmp_path.rglob("*"))] == ["deep", "x.json"]


def test_what_others_left_is_not_swept(tmp_path):
    (tmp_path / "theirs").write_text("")
    kept = [".notes.tmp", ".notes.2024.tmp", "x.1-2.tmp", ".x.1-2.tmp.txt"]
    for name in kept:
        (tmp_path / name).write_text("")
    folders = [".cache.tmp", ".x.1-2.tmp"]
    for name in folders:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / ".link.1-2.tmp").symlink_to(tmp_path / "theirs")
    before = sorted(tmp_path.rglob("*"))
    files.sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
