from __future__ import annotations

import json

import pytest

from twofour.engines.tensorrt.plan_header import PlanHeader, plan_header

PLAN = b"ftrt" + bytes(20) + bytes([10, 13, 3, 9]) + bytes(100)


def read(tmp_path, content):
    (tmp_path / "m.plan").write_bytes(content)
    return plan_header(tmp_path / "m.plan")


def test_a_plan(tmp_path):
    assert read(tmp_path, PLAN) == PlanHeader(True, 0, "10.13.3")


def test_a_plan_with_metadata_before_it(tmp_path):
    metadata = json.dumps({"names": {0: "cat"}}).encode()
    wrapped = len(metadata).to_bytes(4, "little") + metadata + PLAN
    assert read(tmp_path, wrapped) == PlanHeader(True, 4 + len(metadata), "10.13.3")


@pytest.mark.parametrize("content", [
    b"", b"f", b"ftr", b"\x08\x07\x12\x07pytorch", b"\xff" * 50, bytes(100), (3).to_bytes(4, "little") + b"{x}ftrt",
])
def test_what_is_no_plan(tmp_path, content):
    assert read(tmp_path, content) == PlanHeader(False)


def test_a_release_that_makes_no_sense_is_not_named(tmp_path):
    assert read(tmp_path, b"ftrt" + bytes(200)) == PlanHeader(True)
    assert read(tmp_path, b"ftrt") == PlanHeader(True)


def test_a_file_that_is_not_there(tmp_path):
    assert plan_header(tmp_path / "nothing") == PlanHeader(False)
