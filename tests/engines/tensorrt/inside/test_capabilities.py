"""What is probed is what the real classes and enums say, on each release."""

import dataclasses
import re
from pathlib import Path

import pytest
import tensorrt as real

from twofour.engines.tensorrt import capabilities as module
from twofour.engines.tensorrt.capabilities import Capabilities, _probe, capabilities
from twofour.engines.tensorrt.module import numbers

ENUMS = {
    "builder_flags": "BuilderFlag", "parser_flags": "OnnxParserFlag", "hardware_levels": "HardwareCompatibilityLevel",
    "pools": "MemoryPoolType",
}


def test_the_names_are_those_of_the_enums(trt):
    found = capabilities()
    for field, enum in ENUMS.items():
        assert getattr(found, field) == set(getattr(real, enum).__members__), field
    assert {field.name for field in dataclasses.fields(Capabilities) if field.type == "frozenset[str]"} == set(ENUMS)


def test_the_double_can_no_more_and_no_less_than_the_real_module(trt):
    assert _probe(trt) == _probe(real)


def test_probed_once(trt):
    assert capabilities() is capabilities()


def test_what_every_release_has(trt):
    found = capabilities()
    assert found.debug_tensors
    assert found.strongly_typed_flag
    assert {"SPARSE_WEIGHTS", "TF32", "REFIT", "VERSION_COMPATIBLE"} <= found.builder_flags
    assert {"NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"} == found.hardware_levels
    assert "WORKSPACE" in found.pools
    assert found.details
    assert found.layer_times


def test_what_11_dropped(trt):
    found = capabilities()
    assert found.has_flag("FP16") == found.has_flag("INT8") == (found.major == 10)


def test_what_came_later(trt):
    found = capabilities()
    assert ("ADJUST_FOR_DLA" in found.parser_flags) == (numbers(trt) >= (10, 16))


@pytest.mark.one_release
def test_every_field_is_asked_for():
    room = Path(module.__file__).parent
    texts = "".join(path.read_text(encoding="utf-8") for path in room.glob("*.py") if path.name != "capabilities.py")
    fields = {field.name for field in dataclasses.fields(Capabilities)} - {"builder_flags"} | {"has_flag"}
    asked = set(re.findall(r"\b(?:can|capabilities\(\))\.(\w+)", texts))
    assert fields <= asked


def test_no_dla_before_11_4_1(trt):
    found = capabilities()
    assert not found.dla
    assert ("calibration" if found.major == 10 else "without DLA") in found.dla_refusal


def test_dla_since_11_4_1(trt, monkeypatch):
    monkeypatch.setitem(trt.__dict__, "__version__", "11.4.1.20")
    assert _probe.__wrapped__(trt).dla
