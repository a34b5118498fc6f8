"""The file, without TensorRT; what TensorRT makes of it is in inside/test_timing_cache.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from twofour.common.errors import UserError
from twofour.engines.tensorrt import timing_cache
from twofour.engines.tensorrt.timing_cache import merge

_ADD = """
import sys
from pathlib import Path
from twofour.engines.tensorrt.timing_cache import merge
path, own = Path(sys.argv[1]), sys.argv[2]
for number in range(40):
    merge(path, lambda content: content + f"{own}{number}\\n".encode())
"""


def test_the_first_one_finds_nothing(tmp_path):
    seen = []
    merge(tmp_path / "new" / "cache", lambda content: seen.append(content) or b"learned")
    assert seen == [b""]
    assert (tmp_path / "new" / "cache").read_bytes() == b"learned"


def test_two_processes_at_once_lose_nothing(tmp_path):
    path = tmp_path / "cache"
    running = [subprocess.Popen([sys.executable, "-c", _ADD, str(path), own]) for own in "ab"]
    assert [one.wait(120) for one in running] == [0, 0]
    lines = path.read_text().split()
    assert sorted(lines) == sorted(f"{own}{number}" for own in "ab" for number in range(40))


def test_what_goes_wrong_leaves_the_file(tmp_path):
    path = tmp_path / "cache"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        merge(path, lambda content: 1 / 0)
    assert path.read_bytes() == b"old"
    merge(path, lambda content: content + b" and new")  # the lock was let go
    assert path.read_bytes() == b"old and new"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_file_that_another_process_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(timing_cache, "_PATIENCE", 0.1)
    path = tmp_path / "cache"
    code = ("import sys, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
            "print('held', flush=True); time.sleep(60)")
    holder = subprocess.Popen([sys.executable, "-c", code, f"{path}.lock"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Another process holds"):
            merge(path, lambda content: content)
    finally:
        holder.kill()
        holder.wait()
    merge(path, lambda content: b"free")
