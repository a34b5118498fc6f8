from __future__ import annotations

import stat
import subprocess
import sys

import pytest

from twofour.common.errors import UserError
from twofour.engines.tensorrt import signature
from twofour.engines.tensorrt.signature import is_ours, key_path, sign

DIGEST, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_signature_is_of_one_plan():
    made = sign(DIGEST)
    assert is_ours(DIGEST, made)
    assert not is_ours(OTHER, made)
    assert not is_ours(DIGEST, made[:-1] + ("0" if made[-1] != "0" else "1"))
    assert not is_ours(DIGEST, "")


def test_another_user_or_machine_has_another_key(monkeypatch, tmp_path):
    made = sign(DIGEST)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert not is_ours(DIGEST, made)
    assert not key_path().exists()
    assert sign(DIGEST) != made


def test_the_key_is_the_users_alone(state):
    sign(DIGEST)
    assert key_path() == state / "twofour" / "plan.key"
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert [path.name for path in key_path().parent.iterdir()] == ["plan.key"]
    key_path().chmod(0o644)
    with pytest.raises(UserError, match="Others may read"):
        is_ours(DIGEST, "x")


def test_a_damaged_key():
    sign(DIGEST)
    key_path().write_bytes(b"short")
    with pytest.raises(UserError, match="damaged"):
        sign(DIGEST)


def test_a_folder_that_can_not_be_made(state):
    state.write_text("a file")
    with pytest.raises(UserError, match="can't be made or read"):
        sign(DIGEST)


def test_a_file_system_without_hard_links(monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(signature.os, "link", refuse)
    assert is_ours(DIGEST, sign(DIGEST))
    assert [path.name for path in key_path().parent.iterdir()] == ["plan.key"]


def test_the_first_key_stays(state):
    made = sign(DIGEST)
    signature._make(key_path())  # as another first build does that found no key a moment ago
    assert is_ours(DIGEST, made)
    assert [path.name for path in key_path().parent.iterdir()] == ["plan.key"]


def test_two_first_builds_at_once_use_one_key():
    code = f"from twofour.engines.tensorrt.signature import sign; input(); print(sign('{DIGEST}'))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for _ in range(4)]
    for one in running:
        one.stdin.write("\n")
        one.stdin.flush()
    made = {one.communicate(timeout=60)[0].strip() for one in running}
    assert len(made) == 1
    assert is_ours(DIGEST, made.pop())


def test_a_relative_folder_is_ignored_as_the_specification_asks(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert key_path() == tmp_path / ".local" / "state" / "twofour" / "plan.key"
