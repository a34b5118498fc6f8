from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from twofour.engines.records import SparsityLine
from twofour.engines.tensorrt.evidence import weigh, weigh_model
from twofour.engines.tensorrt.inspector import InspectedLayer, TensorInfo, parse
from twofour.engines.tensorrt.reasons import BuildFacts
from twofour.engines.tensorrt.sparsity_log import sparsity_lines
from twofour.export.graph.surroundings import Surroundings
from twofour.export.graph.two_four import Sparsity

RECORDED = Path(__file__).parent / "recorded"
AMPERE = BuildFacts(sparse=True, compute_capability=(8, 6), optimization_level=3, rest="fp16")
INT8 = Surroundings(int8_in=True)
SPARSE, DENSE = "sm80_xmma_fprop_sparse_conv_interleaved_i8i8_sptensor16x8x64", "sm80_xmma_fprop_implicit_gemm_i8i8"
GENERATED = "__myl_FcAdd_0xf2543c36ff9f104bbb1655b0183afb47"


def weight(name="conv", two_four=True, shape=(256, 256, 3, 3)):
    reason = "all groups are fine" if two_four else "9 of 90 groups hold more than 2 weights that are not zero"
    return Sparsity(name, "Conv", shape, 1, 90, 0 if two_four else 9, two_four, 0.5, True, reason)


def layer(tactic, name="conv + relu", nodes=("conv", "relu"), flag=None, kind="CaskConvolution"):
    tensors = (TensorInfo("t", "Thirty-two wide channel vectorized row major Int8 format", (8, 256, 28, 28)),)
    return InspectedLayer(name, kind, tactic, nodes, tensors, tensors, flag)


def judge(layers, log=(), build=AMPERE, given=None, around=INT8, shares=None):
    given = given or weight()
    [found] = weigh([given], layers, log, shares, build, {given.name: around})
    return found


def test_the_kernels_name_alone_proves_it():
    found = judge([layer(SPARSE)])
    assert (found.verdict, found.kernel, found.precision, found.change) == ("ran sparse", SPARSE, "int8", None)


def test_eligible_but_dense_was_chosen():
    found = judge([layer(DENSE)])
    assert found.verdict == "eligible, dense was chosen"
    assert "found the dense kernel faster" in found.reason
    small = judge([layer(DENSE)], given=weight(shape=(64, 64, 1, 1)))
    assert small.verdict == "eligible, dense was chosen"
    assert "too small" in small.reason
    assert "256" in small.change


def test_has_sparse_weights_is_shown_and_proves_nothing():
    for tactic, verdict in ((DENSE, "eligible, dense was chosen"), (None, "unknown"), (GENERATED, "unknown")):
        found = judge([layer(tactic, flag=True)])
        assert found.verdict == verdict
        assert "HasSparseWeights is 1, which proves nothing" in found.reason


def test_has_sparse_weights_is_left_out_where_it_adds_nothing():
    assert "HasSparse" not in judge([layer(SPARSE, flag=True)]).reason
    assert "HasSparse" not in judge([layer(DENSE, flag=False)], given=weight(two_four=False)).reason
    assert "although its weights are 2:4" in judge([layer(DENSE, flag=False)]).reason


def test_not_eligible_with_the_reason():
    found = judge([layer(DENSE)], given=weight(two_four=False))
    assert (found.verdict, found.ran_sparse) == ("not eligible", "no")
    assert "9 of 90 groups" in found.reason
    assert "Prune it" in found.change
    assert judge([layer(DENSE)], build=BuildFacts(sparse=False)).verdict == "not eligible"
    assert judge([layer(DENSE)], build=BuildFacts(compute_capability=(7, 5))).verdict == "not eligible"


@pytest.mark.parametrize("layers", [
    [], [layer(None)], [layer(GENERATED, kind="kgen")], [layer("0x00000000000003e8")],
    [layer(DENSE, "other", ("other",))], [layer(SPARSE, "other", ("other",))], [layer(SPARSE, "a", kind="Reformat")],
    [InspectedLayer("{ForeignNode[conv.../Unsqueeze_2]}", "Myelin")],
])
def test_what_is_not_named_is_unknown(layers):
    found = judge(layers)
    assert found.verdict == "unknown"
    assert found.change


def test_a_weight_that_is_not_2_4_needs_no_kernels_name():
    assert judge([layer(GENERATED)], given=weight(two_four=False)).verdict == "not eligible"
    assert judge([], given=weight(two_four=False)).verdict == "not eligible"


def test_a_sparse_kernel_is_believed_against_every_rule():
    found = judge([layer(SPARSE)], given=weight(two_four=False), build=BuildFacts(sparse=False))
    assert (found.verdict, found.eligible) == ("ran sparse", "yes")


def test_float_output_explains_a_dense_kernel():
    found = judge([InspectedLayer("conv", "CaskConvolution", DENSE, ("conv",))],
                  around=Surroundings(int8_in=True, float_reader="Softmax"))
    assert found.verdict == "eligible, dense was chosen"
    assert "float comes out, read by Softmax" in found.reason
    assert found.change.startswith("Quantize its output")


def test_what_the_log_says_of_eligible_layers():
    listed = sparsity_lines(["(Sparsity) Layers eligible for sparse math: conv + relu",
                             "(Sparsity) TRT inference plan picked sparse implementation for layers: conv + relu"])
    other = sparsity_lines(["(Sparsity) Found 1 layer(s) eligible to use sparse tactics: other"])
    strange = sparsity_lines(["(Sparsity) Found 1 layer(s) eligible to use sparse tactics: __myln_k_arg"])
    none = sparsity_lines(["(Sparsity) Found 0 layer(s) eligible to use sparse tactics"])
    counted = sparsity_lines(["(Sparsity) Found 9 layer(s) eligible to use sparse tactics"])
    layers = [layer(DENSE), layer(DENSE, "other", ("other",))]
    assert judge(layers, listed).verdict == "eligible, dense was chosen"
    assert judge(layers, other).verdict == "not eligible"
    assert "log does not count it" in judge(layers, other).reason
    assert judge(layers, none).verdict == "not eligible"
    assert judge([], none).verdict == "not eligible"
    assert judge(layers, strange).verdict == "eligible, dense was chosen"
    assert judge(layers, counted).verdict == "eligible, dense was chosen"
    assert judge(layers, [*other, SparsityLine(text="(Sparsity) 7 of 9")]).verdict == "eligible, dense was chosen"
    hidden = judge([layer(GENERATED)], listed)
    assert hidden.verdict == "unknown"
    assert "chose a sparse kernel for it" in hidden.reason


def test_the_builders_word_goes_before_the_rules():
    listed = sparsity_lines(["(Sparsity) Layers eligible for sparse math: conv + relu"])
    assert judge([layer(DENSE)], listed, given=weight(two_four=False)).verdict == "eligible, dense was chosen"


def test_an_unknown_wording_leaves_what_the_kernels_name_tells():
    unknown = [SparsityLine(text="(Sparsity) 7 of 9")]
    assert judge([layer(SPARSE)], unknown).verdict == "ran sparse"
    assert judge([layer(DENSE)], unknown).verdict == "eligible, dense was chosen"
    assert judge([layer(GENERATED)], unknown).verdict == "unknown"


@pytest.mark.parametrize(("name", "nodes"), [
    ("conv", ()), ("conv.weight + conv.weight_quantizer/QuantizeLinear + conv + relu", ()),
    ("a || conv", ()), ("fused", ("conv.weight_quantizer/DequantizeLinear", "conv", "relu")),
])
def test_layers_are_found_by_metadata_or_by_name(name, nodes):
    assert judge([layer(SPARSE, name, nodes)]).verdict == "ran sparse"


def test_myelin_writes_underscores_for_dots():
    dotted = weight("body.0.conv1")
    found = judge([layer(SPARSE, "body_0_conv1+body_0_conv2_myl0_7", (), kind="gemm")], given=dotted)
    assert found.verdict == "ran sparse"
    other = judge([layer(SPARSE, "body_0_conv11_myl0_7", (), kind="gemm")], given=dotted)
    assert other.verdict == "unknown"


def test_generated_code_beside_the_kernel_does_not_hide_it():
    beside = layer(GENERATED, "__myl_MoveConc_myl0_2", ("conv",), kind="kgen")
    assert judge([beside, layer(DENSE, kind="gemm")]).verdict == "eligible, dense was chosen"
    assert judge([beside, layer(SPARSE, "__myl_Fc_myl0_3", ("conv",), kind="fusion")]).verdict == "ran sparse"


def test_a_neighbours_kernel_that_names_it_too_is_not_its_own():
    neighbour = layer(SPARSE, "next + add", ("next", "conv", "add"))
    assert judge([neighbour, layer(DENSE, "conv")]).verdict == "eligible, dense was chosen"
    mixed = judge([neighbour, layer(DENSE, "fused", ("conv",))])
    assert mixed.verdict == "unknown"
    assert "only some of them are sparse" in mixed.reason


def test_time_is_shared_out_among_the_layers_of_one_kernel():
    fused = layer(SPARSE, "q+k+v_myl0_9", ("q", "k", "v"), kind="gemm")
    found = weigh([weight("q"), weight("k"), weight("lost")], [fused], [], {fused.name: 0.3, "else": 0.7}, AMPERE)
    assert [one.time_share for one in found] == [pytest.approx(0.15), pytest.approx(0.15), None]
    assert judge([fused], given=weight("q")).time_share is None


def test_no_verdict_but_by_its_own_evidence():
    """Over every mix of kernel, weight and log: sparse only by the name, dense only where the name is known."""
    logs = ([], [SparsityLine(eligible=5, chosen=5)], [SparsityLine(text="?")], [SparsityLine(eligible=0, chosen=0)])
    for tactic, fine, log, flag in product((SPARSE, DENSE, GENERATED, None), (True, False), logs, (True, False, None)):
        found = judge([layer(tactic, flag=flag)], log, given=weight(two_four=fine))
        assert (found.verdict == "ran sparse") == (tactic == SPARSE)
        if found.verdict == "eligible, dense was chosen":
            assert tactic == DENSE
            assert fine
        if found.verdict == "unknown":
            assert tactic in (GENERATED, None)


def test_the_recorded_resnet_ran_sparse():
    layers = parse(json.dumps(json.loads((RECORDED / "layers_resnet18.json").read_text())["information"]))
    found = judge(layers, given=weight("resnetv15_stage3_conv4_fwd"))
    assert found.verdict == "ran sparse"
    assert found.precision == "int8"


def test_the_recorded_transformer_ran_dense_where_it_tells():
    layers = parse(json.dumps(json.loads((RECORDED / "layers_bert.json").read_text())["information"]))
    names = ["0/pos_ff/output/MatMul", "0/pos_ff/Add_1", "9/pos_ff/dense/MatMul"]
    found = weigh([weight(f"/encoder/layers.{name}") for name in names], layers, [], None, AMPERE)
    assert [one.verdict for one in found] == ["eligible, dense was chosen", "unknown", "eligible, dense was chosen"]
    assert [one.precision for one in found] == ["float"] * 3


def net() -> ir.Model:
    """Two convolutions with Q and DQ in a row, then a float head; the second one's weight is not 2:4."""
    stored, nodes = [], []

    def pair(source, name):
        stored.append(numpy_helper.from_array(np.float32(0.1), f"{name}/scale"))
        nodes.append(helper.make_node("QuantizeLinear", [source, f"{name}/scale"], [f"{name}/codes"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}/codes", f"{name}/scale"], [name]))
        return name

    x = "x"
    for name, pattern in (("conv1", [1, 1, 0, 0]), ("conv2", [1, 1, 1, 0])):
        kernel = np.tile(np.float32(pattern), 2).reshape(1, 8, 1, 1).repeat(8, axis=0)
        stored.append(numpy_helper.from_array(kernel, f"{name}.weight"))
        inputs = [pair(x, f"{name}.in"), pair(f"{name}.weight", f"{name}.w")]
        nodes.append(helper.make_node("Conv", inputs, [name], name=name))
        x = name
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "conv2")]
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], stored)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]))


def test_a_whole_graph():
    layers = [InspectedLayer(name, "CaskConvolution", DENSE, (name,)) for name in ("conv1", "conv2")]
    first, second = weigh_model(net(), layers, [], None, AMPERE)
    assert (first.verdict, second.verdict) == ("eligible, dense was chosen", "not eligible")
    assert "few channels (8 in, 8 out)" in first.reason
    assert "16 of 16 groups" in second.reason
