from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofour.common.errors import UserError
from twofour.engines.tensorrt.inspector import InspectedLayer, kind_of, name_parts, onnx_nodes, parse

RECORDED = Path(__file__).parent / "recorded"


def recorded(name):
    return parse(json.dumps(json.loads((RECORDED / f"layers_{name}.json").read_text())["information"]))


def test_an_int8_resnet_of_10_1():
    reformat, conv = recorded("resnet18")
    assert (reformat.type, reformat.tactic, reformat.onnx_nodes, reformat.origin) == ("Reformat", None, (), "REFORMAT")
    assert [(tensor.kind, tensor.dims) for tensor in (*reformat.inputs, *reformat.outputs)] == [
        ("float", (1, 3, 224, 224)), ("int8", (1, 3, 224, 224)),
    ]
    assert conv.onnx_nodes == tuple(
        f"resnetv15_stage3_{end}" for end in ("conv4_fwd", "batchnorm4_fwd", "_plus1", "activation1")
    )
    assert conv.sparse is True
    assert conv.has_sparse_weights is True
    assert (conv.weights_type, conv.weights_count) == ("Int8", 589824)
    assert {tensor.kind for tensor in (*conv.inputs, *conv.outputs)} == {"int8"}


def test_a_transformer_whose_blocks_myelin_took():
    gemm, generated, fusion = recorded("bert")
    assert gemm.onnx_nodes == ("/encoder/layers.0/pos_ff/output/MatMul", "/encoder/layers.0/pos_ff/output/Add")
    assert gemm.sparse is False
    assert fusion.sparse is False
    assert generated.sparse is None
    assert not generated.tells
    assert gemm.has_sparse_weights is None
    assert gemm.weights_count is None


def test_an_engine_that_gives_names_only():
    layers = recorded("names_only")
    assert all(layer.sparse is None and layer.onnx_nodes == () for layer in layers)
    assert [layer.type for layer in layers].count("Reformat") == 1
    assert "/backbone/conv1/Conv" in name_parts(layers[2].name)


def test_shapes_that_are_not_known():
    _, conv = recorded("dynamic")
    assert conv.inputs[0].kind == "unknown"
    assert conv.inputs[0].dims == (-1, 128, 14, 14)
    assert conv.has_sparse_weights is False
    assert conv.sparse is False


SPARSE = [
    "sm80_xmma_fprop_avdt_sparse_int8int8_tilesize64x64x64", "sm80_xmma_fprop_sparse_conv_interleaved_i8i8",
    "sm86_xmma_sparse_gemm_i8i8_i8i32_f32_tn_t_tilesize256x128x128_stage2_warpsize4x2x1_sptensor16x8x64",
    "sm90_xmma_gemm_f16f16_f16f32_f32_nt_t_tilesize128x64x64_stage4_sptensor_hgmma64x64x32",
    "cutlass_80_tensorop_i16864spgemm_s8_128x128_128x3_tn_align16", "cutlass3x_sm90_spmma_f16",
    "sm80_sphmma_16832", "sm80_spimma_16864", "sm90_sp_gemm_i8", "SM80_XMMA_SPARSE_GEMM",
]
DENSE = [
    "sm80_xmma_fprop_avdt_dense_int8int8_tilesize64x64x64", "sm80_xmma_gemm_f16f16_f16f16_f16_nn_n_tilesize32x32x64",
    "sm90_xmma_gemm_i8i8_i8i32_f32_tn_n_tilesize256x128x128_warpgroupsize2x1x1_igmma64x128x32",
    "cutlass3x_sm90_tensorop_s64x128x32gemm_warpspecialized_pingpong", "ampere_h16816gemm_256x128_ldg8_nn_v1",
    "sm50_xmma_cublas_gemvx_f16f16_f32", "generatedNativePointwise", "sm80_disp_gemm_f16",
]


@pytest.mark.parametrize("tactic", SPARSE)
def test_names_of_sparse_kernels(tactic):
    assert InspectedLayer("conv", "CaskConvolution", tactic).sparse is True


@pytest.mark.parametrize("tactic", DENSE)
def test_names_of_dense_kernels(tactic):
    assert InspectedLayer("conv", "CaskConvolution", tactic).sparse is False


@pytest.mark.parametrize("tactic", [
    None, "__myl_FcAddSparse_0xf2543c36ff9f104bbb1655b0183afb47", "_gemm_mha_v2_0x5d", "0x00000000000003e8", "N/A",
])
def test_names_that_tell_nothing(tactic):
    assert InspectedLayer("conv", "gemm", tactic).sparse is None


def test_a_layer_that_is_called_sparse_is_no_evidence():
    name = "sparse_head.conv"
    dense = InspectedLayer(name, "CaskConvolution", "sm80_xmma_fprop_implicit_gemm_i8i8", (name,))
    assert dense.sparse is False
    assert InspectedLayer(f"{name}_myl0_3", "gemm", "sparse_head_conv_0x12", (name,)).sparse is None
    assert InspectedLayer("sparse", "gemm", "sm80_xmma_sparse_gemm_i8i8", ("sparse",)).sparse is True
    assert InspectedLayer(name, "gemm", "sparse_head_conv_sptensor16x8x64", (name,)).sparse is True


@pytest.mark.parametrize(("metadata", "nodes"), [
    ("[ONNX Layer: a][ONNX Layer: b]", ("a", "b")),
    ("[ONNX Layer: a]\x1e[ONNX Layer: b]\x1f[ONNX Layer: c]", ("a", "b", "c")),
    ("[ONNX Layer: a]+[ONNX Layer: b] + [ONNX Layer: c]", ("a", "b", "c")),
    ("x [ONNX Layer: a]\x1fy [ONNX Layer: b]", ("a", "b")),
    ("[ONNX Layer: list[0]/conv]\x1e[ONNX Layer: body.0.conv1.weight_quantizer/DequantizeLinear]",
     ("list[0]/conv", "body.0.conv1.weight_quantizer/DequantizeLinear")),
    ("", ()), ("trainStation1", ()),
])
def test_nodes_in_the_metadata(metadata, nodes):
    assert onnx_nodes(metadata) == nodes


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abz019./_- #", min_size=1, max_size=12).filter(str.strip), max_size=6), st.sampled_from(
    ["", "\x1e", "\x1f", "+", " + "]))
def test_any_names_are_found_in_the_metadata(names, separator):
    assert onnx_nodes(separator.join(f"[ONNX Layer: {name}]" for name in names)) == tuple(names)


def test_parts_of_fused_names():
    assert name_parts("a.weight + a/Q + a + PWN(relu)") == ("a.weight", "a/Q", "a", "PWN(relu)")
    assert name_parts("Conv_1 + Relu_2 || Conv_3 + Relu_4") == ("Conv_1", "Relu_2", "Conv_3", "Relu_4")
    assert name_parts("/l_1/key/MatMul+/l_1/query/MatMul_myl0_9") == ("/l_1/key/MatMul", "/l_1/query/MatMul")


@pytest.mark.parametrize(("text", "kind"), [
    ("Thirty-two wide channel vectorized row major Int8 format", "int8"), ("Row major linear FP32", "float"),
    ("Channel major FP16 format where channel % 16 == 0", "float"), ("Half", "float"), ("BFloat16", "float"),
    ("FP8", "other"), ("Int32", "other"), ("UInt8", "other"), ("N/A due to dynamic shapes", "unknown"), ("", "unknown"),
])
def test_dtypes_in_words(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize("text", ["", "Name: conv, LayerType: gemm", "{", "7", '"x"', '{"layers": []}', "[" * 100_000])
def test_what_is_not_the_inspectors_json(text):
    with pytest.raises(UserError):
        parse(text)


def test_keys_that_are_missing_or_strange():
    strange = {"Name": None, "Inputs": "x", "Outputs": [7, {}], "Weights": 3, "HasSparseWeights": "maybe",
               "TacticName": 5, "Metadata": None}
    layers = parse(json.dumps([{}, strange, 7, None, "conv"]))
    assert len(layers) == 3
    assert all(layer.sparse is None and layer.has_sparse_weights is None for layer in layers)
    old = parse('{"Layers": [{"Name": "conv", "AllowSparse": 1, "Inputs": [{"Format": "NCHW", "Datatype": "Int8"}]}]}')
    assert old[0].has_sparse_weights is True
    assert old[0].inputs[0].kind == "int8"


def test_control_characters_as_they_are():
    [layer] = parse('{"Layers": [{"Name": "a", "Metadata": "[ONNX Layer: a]\x1e[ONNX Layer: b]"}]}')
    assert layer.onnx_nodes == ("a", "b")
