import os

import pytest

from twofour.pipeline import fingerprint
from twofour.training.config import DataConfig, ModelConfig


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_change_of_the_users_code_is_seen(here):
    (here / "nets.py").write_text("a = 1")
    before = fingerprint.of_model(ModelConfig(factory="nets:make"))
    (here / "nets.py").write_text("a = 2")
    assert fingerprint.of_model(ModelConfig(factory="nets:make")) != before


def test_a_change_anywhere_in_the_users_package_is_seen(here):
    (here / "mine").mkdir()
    for name in ("__init__", "nets", "blocks"):
        (here / "mine" / f"{name}.py").write_text("")
    before = fingerprint.of_model(ModelConfig(factory="mine.nets:make"))
    (here / "mine" / "blocks.py").write_text("a = 2")
    assert fingerprint.of_model(ModelConfig(factory="mine.nets:make")) != before


def test_a_change_of_the_weights_is_seen(here):
    (here / "w.pt").write_bytes(b"1")
    before = fingerprint.of_model(ModelConfig(factory="a:b", weights="w.pt"))
    (here / "w.pt").write_bytes(b"2")
    assert fingerprint.of_model(ModelConfig(factory="a:b", weights="w.pt")) != before


def test_a_change_of_the_pictures_is_seen(here):
    (here / "root").mkdir()
    (here / "root" / "1.png").write_bytes(b"1")
    config = DataConfig(factory="a:b", args={"root": "root", "size": 8})
    before = fingerprint.of_data(config)
    assert fingerprint.of_data(config) == before
    os.utime(here / "root" / "1.png", (1, 1))
    assert fingerprint.of_data(config) != before


def test_the_sources_of_a_room_count():
    assert fingerprint.of_rooms("training") != fingerprint.of_rooms("calibrate")
    assert fingerprint.of_rooms("training") == fingerprint.of_rooms("training")
