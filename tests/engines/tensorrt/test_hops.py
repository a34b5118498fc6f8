from __future__ import annotations

import json
from pathlib import Path

from twofour.engines.tensorrt.hops import hops
from twofour.engines.tensorrt.inspector import InspectedLayer, TensorInfo, parse

RECORDED = Path(__file__).parent / "recorded"


def tensor(name, text):
    return TensorInfo(name, text, (1, 8, 4, 4))


END = tensor("y", "Half")


def conv(name, reads, writes):
    return InspectedLayer(name, "CaskConvolution", "kernel", (f"{name}.node",), (reads,), (writes,))


def reformat(reads, writes, origin="REFORMAT"):
    return InspectedLayer("hop", "Reformat", None, (), (reads,), (writes,), origin=origin)


def test_a_recorded_reformat_is_named_after_what_reads_it():
    layers = parse(json.dumps(json.loads((RECORDED / "layers_resnet18.json").read_text())["information"]))
    [hop] = hops(layers)
    assert (hop.change, hop.from_format, hop.to_format) == ("dtype", "Row major linear FP32", "Row major Int8 format")
    assert (hop.made_by, hop.read_by, hop.between_int8, hop.origin) == ([], [], False, "REFORMAT")


def test_float_between_two_layers_that_compute_on_integers():
    half, codes = tensor("a", "Half"), tensor("b", "Int8")
    layers = [conv("first", tensor("x", "Int8"), half), reformat(half, codes, "QDQ"), conv("second", codes, END)]
    [hop] = hops(layers)
    assert hop.between_int8
    assert (hop.change, hop.made_by, hop.read_by, hop.origin) == ("dtype", ["first.node"], ["second.node"], "QDQ")


def test_another_layout_is_no_other_dtype():
    wide = tensor("a", "Thirty-two wide channel vectorized row major Int8 format")
    narrow = tensor("b", "Row major Int8 format")
    [hop] = hops([conv("first", tensor("x", "Int8"), wide), reformat(wide, narrow), conv("second", narrow, END)])
    assert (hop.change, hop.between_int8) == ("layout", False)


def test_a_float_network_has_no_hop_between_integers():
    first, second = tensor("a", "Half"), tensor("b", "Row major linear FP16")
    [hop] = hops([conv("first", tensor("x", "Half"), first), reformat(first, second), conv("second", second, END)])
    assert (hop.change, hop.between_int8) == ("layout", False)


def test_formats_that_are_not_known():
    layers = parse(json.dumps(json.loads((RECORDED / "layers_dynamic.json").read_text())["information"]))
    [hop] = hops(layers)
    assert hop.change == "unknown"
    assert hop.read_by == ["(Unnamed Layer* 1) [Convolution]"]
    names = parse(json.dumps(json.loads((RECORDED / "layers_names_only.json").read_text())["information"]))
    assert [one.change for one in hops(names)] == ["unknown"]
