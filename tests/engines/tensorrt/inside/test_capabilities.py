"""What is probed is what the real classes and enums say, on each release."""

import dataclasses

import tensorrt as real

from twofour.engines.tensorrt.capabilities import Capabilities, _probe, capabilities

ENUMS = {
    "builder_flags": "BuilderFlag", "parser_flags": "OnnxParserFlag", "network_flags": "NetworkDefinitionCreationFlag",
    "serialization_flags": "SerializationFlag", "pools": "MemoryPoolType", "tactic_sources": "TacticSource",
    "hardware_levels": "HardwareCompatibilityLevel", "preview_features": "PreviewFeature",
    "verbosities": "ProfilingVerbosity", "data_types": "DataType",
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
    assert all((found.progress_monitor, found.debug_tensors, found.unfused_debug_tensors, found.editable_timing_cache,
                found.inspector, found.strongly_typed_flag, found.v2_memory_size))
    assert {"SPARSE_WEIGHTS", "TF32", "REFIT", "VERSION_COMPATIBLE"} <= found.builder_flags
    assert "WORKSPACE" in found.pools
    assert {"NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"} == found.hardware_levels
    assert "DETAILED" in found.verbosities


def test_what_11_dropped(trt):
    found = capabilities()
    ten = found.major == 10
    assert found.weak_typing == found.has_flag("FP16") == found.has_flag("INT8") == ten
    assert found.fast_precision_queries == ten
    assert ("EXPLICIT_BATCH" in found.network_flags) == ("CUDNN" in found.tactic_sources) == ten


def test_what_came_later(trt):
    found = capabilities()
    number = (found.major, found.minor)
    assert found.stream_writer == (number >= (10, 13))
    assert found.parser_sees_config == (number >= (10, 16))
    assert found.build_routes == (number >= (11, 1))
    assert ("ADJUST_FOR_DLA" in found.parser_flags) == (number >= (10, 16))


def test_no_dla_before_11_4_1(trt):
    found = capabilities()
    assert not found.dla
    assert ("calibration" if found.major == 10 else "without DLA") in found.dla_refusal


def test_dla_since_11_4_1(trt, monkeypatch):
    monkeypatch.setitem(trt.__dict__, "__version__", "11.4.1.20")
    assert _probe.__wrapped__(trt).dla
