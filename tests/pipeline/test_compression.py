import json

import pytest

from twofour.common.bundle import Layer, Range
from twofour.pipeline.compression import PAIRS, counted
from twofour.pipeline.report.write import write_report


def layer(name, *shape, sparse=False, pattern=None):
    return Layer(name=name, kind="Linear", shape=list(shape), sparse=sparse, reason="", pattern=pattern)


def weights(bits, *names):
    return [Range(tensor=f"{name}.weight_quantizer", method="max", amax=1.0, axis=None, bits=bits) for name in names]


@pytest.mark.parametrize(("bits", "made", "smaller", "operations"), [
    (8, {"sparse": True, "pattern": "2:4"}, 128 / 20, 32),
    (8, {}, 4.0, 16),
    (8, {"pattern": "4:8"}, 4.0, 16),
    (8, {"pattern": PAIRS}, 4.0, 16),
    (4, {"pattern": PAIRS}, 256 / 20, 64),
    (4, {"sparse": True, "pattern": "2:4"}, 128 / 12, 64),
    (4, {}, 8.0, 32),
    (32, {"sparse": True, "pattern": "2:4"}, 1.0, 1),
])
def test_weights_are_counted_as_kernels_store_them(bits, made, smaller, operations):
    ranges = weights(16, "other") + (weights(bits, "a") if bits < 32 else [])
    found = counted([layer("a", 8, 32, **made), layer("other", 1, 1)], ranges, {})
    first = found.kinds[0]
    assert (first.weights, first.layers, first.bits) == (256, 1, bits)
    assert first.size_ratio == pytest.approx(smaller)
    assert first.nominal_flop_ratio == operations


def test_the_whole_is_the_sum_of_its_layers():
    layers = [layer("a", 16, 16, sparse=True), layer("b", 16, 16, sparse=True), layer("stem", 16, 1, 3, 3)]
    found = counted(layers, weights(8, "a", "b"), {"bundle/model.onnx": 9})
    assert found.fp32_bytes == 4 * (512 + 144)
    assert found.nominal_bytes == 512 * 5 / 8 + 144 * 4
    assert found.nominal_size_ratio == pytest.approx(found.fp32_bytes / found.nominal_bytes)
    assert found.files == {"bundle/model.onnx": 9}


def test_nothing_quantized_saves_nothing():
    assert counted([layer("a", 8, 16, sparse=True)], [], {}) is None
    assert counted([], weights(8, "a"), {}) is None


def test_a_run_has_both_in_its_summary_and_report(finished):
    found = json.loads((finished / "summary.json").read_text())["compression"]
    kinds = {(kind["bits"], kind["pattern"]): kind for kind in found["kinds"]}
    assert kinds[8, "2:4"]["size_ratio"] == pytest.approx(6.4)
    assert (kinds[8, None]["size_ratio"], kinds[8, None]["layers"]) == (4.0, 2)
    engine = found["files"]["engines/onnxruntime-cpu/engine.onnx"]
    assert engine == (finished / "engines/onnxruntime-cpu/engine.onnx").stat().st_size
    assert found["files"].keys() >= {"dense/weights.safetensors", "bundle/model.onnx"}
    text = write_report(finished).read_text()
    assert "What compression saves" in text
    assert "6.4 \u00d7" in text
