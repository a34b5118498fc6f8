from __future__ import annotations

import pytest

from twofour.engines.config import TensorRTConfig
from twofour.engines.tensorrt.inspector import InspectedLayer, TensorInfo
from twofour.engines.tensorrt.reasons import BuildFacts, disadvantages, obstacles
from twofour.export.graph.surroundings import Surroundings
from twofour.export.graph.two_four import Sparsity

AMPERE = BuildFacts(sparse=True, compute_capability=(8, 6), optimization_level=3, rest="fp16")
INT8 = Surroundings(int8_in=True)


def weight(shape=(256, 256, 3, 3), op="Conv", axis=1, two_four=True, quantized=True, reason="the weight's own reason"):
    return Sparsity("conv", op, shape, axis, 1, 0 if two_four else 1, two_four, 0.5, quantized, reason)


def kernel(inputs="Int8", outputs="Int8", dims=(8, 256, 28, 28)):
    return InspectedLayer("conv", "CaskConvolution", "sm80_xmma_fprop_implicit_gemm_i8i8", ("conv",),
                          (TensorInfo("a", inputs, dims),), (TensorInfo("b", outputs, dims),))


def texts(reasons):
    return [reason.text for reason in reasons]


def test_nothing_is_wrong_with_a_wide_layer_on_a_new_gpu():
    assert obstacles(weight(), INT8, AMPERE) == []
    assert disadvantages(weight(), INT8, AMPERE, kernel()) == []
    assert obstacles(weight(), INT8, BuildFacts()) == []


@pytest.mark.parametrize(("build", "word"), [
    (BuildFacts(sparse=True, compute_capability=(7, 5)), "7.5"),
    (BuildFacts(sparse=False, compute_capability=(8, 0)), "built without sparse weights"),
])
def test_the_build_rules_everything_out(build, word):
    [reason] = obstacles(weight(), INT8, build)
    assert word in reason.text
    assert reason.change


@pytest.mark.parametrize(("given", "around", "word"), [
    (weight((64, 3, 7, 7)), INT8, "3 channels only, as the first layer"),
    (weight((64, 1, 3, 3)), Surroundings(group=64), "depthwise: 1 channel to"),
    (weight((64, 6, 3, 3)), Surroundings(group=4), "grouped: 6 channels"),
    (weight((64, 6, 3, 3), reason="its reduction axis is 6 long"), INT8, "its reduction axis is 6 long"),
    (weight(two_four=False, reason="7 of 9 groups hold more"), INT8, "7 of 9 groups hold more"),
    (weight(two_four=False, reason="computed while it runs"), Surroundings(constant=False), "computed while it runs"),
    (weight((12, 64, 2, 2), "ConvTranspose", 0), Surroundings(group=2), "grouped: 6 channels"),
    (weight((10, 256), "Gemm", 0), INT8, "the weight's own reason"),
])
def test_a_weight_that_can_not_be_sparse(given, around, word):
    [reason] = obstacles(given, around, AMPERE)
    assert word in reason.text
    assert reason.change


def test_the_build_goes_before_the_weight():
    found = obstacles(weight(two_four=False), INT8, BuildFacts(sparse=False, compute_capability=(6, 1)))
    assert ["tensor cores" in found[0].text, "built without" in found[1].text] == [True, True]
    assert found[2].text == "the weight's own reason"


@pytest.mark.parametrize(("around", "layer", "word"), [
    (Surroundings(int8_in=True, float_reader="Softmax"), None, "read by Softmax"),
    (Surroundings(int8_in=True, float_reader="Softmax"), kernel(outputs="Half"), "read by Softmax"),
    (INT8, kernel(outputs="Channel major FP16 format where channel % 8 == 0"), "the kernel writes float"),
])
def test_integers_go_in_but_float_comes_out(around, layer, word):
    first = disadvantages(weight(), around, AMPERE, layer)[0]
    assert word in first.text
    assert first.change.startswith("Quantize its output")


def test_float_output_is_no_matter_where_it_does_not_happen():
    float_in = Surroundings(int8_in=False, float_reader="Softmax")
    assert disadvantages(weight(), float_in, AMPERE, kernel(inputs="Half", outputs="Half")) == []
    engine_knows_better = Surroundings(int8_in=True, float_reader="Resize")
    assert disadvantages(weight(), engine_knows_better, AMPERE, kernel()) == []


@pytest.mark.parametrize(("given", "layer", "word"), [
    (weight((4, 256, 1, 1)), kernel(), "few channels (256 in, 4 out)"),
    (weight((64, 64, 3, 3)), kernel(), "too small to gain (64 channels in, 64 out"),
    (weight((320, 320, 3, 3)), kernel(), "no multiples of 128"),
    (weight((64, 256), "Gemm", 1), kernel(dims=(256, 64)), "too small to gain (256 channels in, 64 out"),
    (weight((256, 1024), "MatMul", 0), kernel(dims=(1, 197, 1024)), None),
    (weight((256, 1024), "MatMul", 0), kernel(dims=(8, 1024)), "8 rows only"),
    (weight(), kernel(dims=(1, 256, 7, 7)), "49 rows only"),
    (weight(), kernel(dims=(-1, 256, 7, 7)), None),
])
def test_what_is_too_small(given, layer, word):
    found = texts(disadvantages(given, INT8, AMPERE, layer))
    assert found == [] if word is None else word in found[0]


def test_other_disadvantages():
    hurried = BuildFacts(sparse=True, optimization_level=2)
    assert "optimization level 2" in texts(disadvantages(weight(), INT8, hurried, kernel()))[0]
    assert "FP32" in texts(disadvantages(weight(quantized=False), Surroundings(), BuildFacts(rest="fp32"), None))[0]
    single = kernel(inputs="Row major linear FP32", outputs="Row major linear FP32")
    assert "FP32" in texts(disadvantages(weight(quantized=False), Surroundings(), AMPERE, single))[0]
    grouped = disadvantages(weight((256, 128, 3, 3)), Surroundings(group=2, int8_in=True), AMPERE, kernel())
    assert "2 groups of 128 channels" in grouped[0].text
    special = BuildFacts(hardware_compatibility="ampere_plus", version_compatible=True, refit=True)
    assert [text.split(",")[0] for text in texts(disadvantages(weight(), INT8, special, kernel()))] == [
        f"the engine was built for {what}" for what in ("hardware compatibility", "version compatibility", "refit")
    ]


def test_a_build_that_was_short_of_memory_says_nothing():
    starved = BuildFacts.of(TensorRTConfig(), (8, 6), short_of_memory=True)
    first = disadvantages(weight(), Surroundings(int8_in=True, float_reader="Add"), starved, kernel())[0]
    assert "lack of memory" in first.text
    assert "workspace_mib" in first.change


def test_the_likeliest_comes_first():
    build = BuildFacts(sparse=True, optimization_level=1, refit=True)
    found = texts(disadvantages(weight((64, 64, 1, 1)), Surroundings(int8_in=True, float_reader="Add"), build, None))
    assert [text.split()[0] for text in found] == ["INT8", "at", "it", "its", "the"]


def test_facts_of_a_recipe():
    config = TensorRTConfig(sparse=False, optimization_level=5, rest="bf16", refit=True)
    assert BuildFacts.of(config, (9, 0)) == BuildFacts(False, (9, 0), 5, "bf16", "none", False, True)
