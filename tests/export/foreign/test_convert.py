import copy
import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper
from onnxruntime.quantization import QuantType

from twofour.common.errors import UserError
from twofour.export.foreign.describe import activations_of, fixed_batch, layers_of, ranges_of

INT8, UINT8 = QuantType.QInt8, QuantType.QUInt8


@pytest.mark.parametrize(
    ("activation", "weight", "per_channel", "options"),
    [
        (INT8, INT8, True, {"ActivationSymmetric": True}),
        (INT8, INT8, False, {"ActivationSymmetric": True}),
        (UINT8, INT8, True, {"ActivationSymmetric": True}),
        (UINT8, UINT8, False, {"ActivationSymmetric": True, "WeightSymmetric": True}),
        (UINT8, INT8, True, {"ActivationSymmetric": True, "UseQDQContribOps": True}),
        (INT8, INT8, True, {"ActivationSymmetric": True, "AddQDQPairToWeight": True}),
        (INT8, INT8, True, {"ActivationSymmetric": True, "DedicatedQDQPair": True}),
    ],
)
def test_what_onnx_runtime_quantizes_symmetrically_answers_the_same(
    quantized, pictures, tools, activation, weight, per_channel, options
):
    made = tools.bit_for_bit(quantized(activation, weight, per_channel, **options), x=pictures)
    names = [node.name for node in made.graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    assert made.opset_import[0].version >= 13


@pytest.mark.parametrize(
    ("activation", "weight", "options", "said"),
    [
        (UINT8, INT8, {}, "asymmetric activations"),
        (INT8, INT8, {}, "asymmetric activations"),
        (QuantType.QInt16, INT8, {"ActivationSymmetric": True, "UseQDQContribOps": True}, "codes of type int16"),
    ],
)
def test_what_is_not_symmetric_int8_is_refused_with_the_tensors(quantized, tools, activation, weight, options, said):
    with pytest.raises(UserError, match=said) as caught:
        tools.converted(quantized(activation, weight, False, **options))
    assert "Quantize it again" in (caught.value.fix or "")
    assert "Relu_output_0" in caught.value.what
    assert "in all)" in caught.value.what


def operators(tools):
    """In QOperator format; quantize_static itself fails on the digits' network in this format."""
    parameters = ["s", "z"]
    constants = {"s": np.float32(0.1), "z": np.uint8(0), "w": np.ones((8, 4), np.uint8)}
    nodes = [helper.make_node("QuantizeLinear", ["x", *parameters], ["q"]),
             helper.make_node("QLinearMatMul", ["q", *parameters, "w", *parameters, *parameters], ["m"]),
             helper.make_node("DequantizeLinear", ["m", *parameters], ["y"])]
    return tools.graph(nodes, {"x": ["n", 8]}, constants)


def test_formats_without_q_and_dq_are_refused_by_their_names(dynamic, digits_file, tools):
    for proto, said in (
        (operators(tools), "QOperator"),
        (dynamic, "dynamically"),
        (onnx.load(digits_file), "is not quantized"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            tools.converted(proto)
        assert caught.value.fix


def test_layers_and_ranges_are_described_by_the_names_in_the_graph(quantized, tools):
    model = tools.converted(quantized(INT8, INT8, True, ActivationSymmetric=True)).model
    nodes = {node.name for node in model.graph}
    layers, ranges = layers_of(model), ranges_of(model)
    assert {layer.name for layer in layers} <= nodes
    assert not any(layer.sparse for layer in layers)
    for layer in layers:
        weight = next(entry for entry in ranges if entry.tensor == f"{layer.name}.weight_quantizer")
        assert (weight.axis, len(weight.amax)) in ((0, layer.shape[0]), (1, layer.shape[-1]))
    assert {f"{entry.tensor}/DequantizeLinear" for entry in ranges} <= nodes
    assert set(activations_of(model)) <= {entry.tensor for entry in ranges}
    assert fixed_batch(model) is None


def yolo(rng):
    """A few layers of a detector in half precision: Conv, SiLU, Concat, Resize; scales in FP16, batch fixed to 1."""
    constants, nodes = {"roi": np.array([], np.float16), "sizes": np.array([1, 1, 2, 2], np.float32)}, []

    def pair(source, name, scale):
        constants.update({f"{name}_s": np.float16(scale), f"{name}_z": np.int8(0)})
        nodes.append(helper.make_node("QuantizeLinear", [source, f"{name}_s", f"{name}_z"], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s", f"{name}_z"], [name]))

    def conv(source, name, shape):
        weight = rng.normal(size=shape, scale=0.3).astype(np.float16)
        constants.update({f"{name}.weight": weight, f"{name}.ws": (np.abs(weight).max((1, 2, 3)) / 127)
                          .astype(np.float16), f"{name}.wz": np.zeros(shape[0], np.int8)})
        pair(source, f"{name}_in", 0.03)
        nodes.append(helper.make_node("QuantizeLinear", [f"{name}.weight", f"{name}.ws", f"{name}.wz"],
                                      [f"{name}.wq"], axis=0))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.wq", f"{name}.ws", f"{name}.wz"],
                                      [f"{name}.wd"], axis=0))
        nodes.append(helper.make_node("Conv", [f"{name}_in", f"{name}.wd"], [f"{name}_c"], f"/{name}/Conv",
                                      pads=[1] * 4))
        nodes.append(helper.make_node("Sigmoid", [f"{name}_c"], [f"{name}_g"]))
        nodes.append(helper.make_node("Mul", [f"{name}_c", f"{name}_g"], [f"{name}_y"]))

    conv("images", "a", (16, 3, 3, 3))
    conv("a_y", "b", (16, 16, 3, 3))
    nodes.append(helper.make_node("Concat", ["a_y", "b_y"], ["cat"], axis=1))
    nodes.append(helper.make_node("Resize", ["cat", "", "sizes"], ["up"], mode="nearest"))
    conv("up", "c", (8, 32, 3, 3))
    return nodes, constants


def test_a_detector_in_half_precision_becomes_fp32_with_the_same_scales(tools):
    rng = np.random.default_rng(0)
    nodes, constants = yolo(rng)
    constants.pop("roi")
    proto = tools.graph(nodes, {"images": [1, 3, 8, 8]}, constants, ("c_y",), kind=onnx.TensorProto.FLOAT16)
    onnx.checker.check_model(proto)
    result = tools.converted(proto)
    assert not result.exact
    assert fixed_batch(result.model) == 1
    made = ir.to_proto(result.model)
    onnx.checker.check_model(made, full_check=True)
    assert not [value.name for value in made.graph.initializer if value.data_type == onnx.TensorProto.FLOAT16]
    x = rng.normal(size=(1, 3, 8, 8)).astype(np.float16)
    before, after = tools.answer(proto, images=x)[0], tools.answer(made, images=x.astype(np.float32))[0]
    assert after.dtype == np.float32
    assert np.abs(before - after).max() < 0.3  # a code or two of the last layers fell otherwise
    assert 10 * np.log10(np.sum(after**2) / np.sum((after - before) ** 2)) > 25
    scales = {entry.tensor: entry.amax for entry in ranges_of(result.model)}
    assert scales["/a/Conv.input_quantizer"] == pytest.approx(127 * float(np.float16(0.03)))


def test_half_precision_is_widened_without_a_loss_where_nothing_is_rounded(tools):
    """Every value below is a small integer times a power of two, which 16 bits hold exactly."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-4, 5, (4, 8)).astype(np.float16)
    constants = {"w": weight.T, "s": np.float16(0.25), "z": np.int8(0)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             helper.make_node("MatMul", ["d", "w"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n", 8]}, constants, kind=onnx.TensorProto.FLOAT16)
    x = (rng.integers(-40, 40, (16, 8)) / 16).astype(np.float16)
    made = ir.to_proto(tools.converted(proto).model)
    np.testing.assert_array_equal(tools.answer(proto, x=x)[0], tools.answer(made, x=x.astype(np.float32))[0])


def test_a_graph_before_opset_13_is_upgraded(tools):
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]), helper.make_node("Relu", ["d"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n", 8]}, {"s": np.float32(0.1), "z": np.int8(0)}, opset=11)
    made = tools.bit_for_bit(proto, x=np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32))
    assert made.opset_import[0].version == 21


def test_scales_behind_constants_and_casts_and_axes_from_the_end(tools):
    """As ModelOpt and PyTorch write them: Constant nodes, an Identity, a Cast, an axis of -4."""
    rng = np.random.default_rng(2)
    constants = {"w": rng.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8),
                 "ws": rng.uniform(0.01, 0.02, 8).astype(np.float32), "h": np.array([0.0625], np.float16)}
    nodes = [
        helper.make_node("Cast", ["h"], ["hf"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Identity", ["hf"], ["s"]),
        helper.make_node("Constant", [], ["z"], value=onnx.numpy_helper.from_array(np.array([0], np.int8))),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=-4),
        helper.make_node("Conv", ["d", "wd"], ["y"]),
    ]
    proto = tools.graph(nodes, {"x": ["n", 4, 6, 6]}, constants)
    made = tools.bit_for_bit(proto, x=rng.normal(size=(2, 4, 6, 6)).astype(np.float32))
    assert "w" in [node.name for node in made.graph.node]  # the Conv had no name but its weight's


@pytest.mark.parametrize("zero_point", [None, 0, 128, 3])
@pytest.mark.parametrize("scale", [1 / 127, 1 / 127.9, 1 / 255])
@pytest.mark.parametrize("before", ["Sigmoid", "Relu", "Clip", "Identity"])
def test_unsigned_activations_are_converted_where_no_code_is_above_127(tools, zero_point, scale, before):
    rng = np.random.default_rng(3)
    constants = {"s": np.float32(scale), "one": np.float32(1), "low": np.float32(-1)}
    more = ["low", "one"] if before == "Clip" else []
    nodes = [helper.make_node(before, ["x", *more], ["b"])]
    inputs = ["s"] if zero_point is None else ["s", "z"]
    if zero_point is not None:
        constants["z"] = np.uint8(zero_point)
    nodes += [helper.make_node("QuantizeLinear", ["b", *inputs], ["q"]),
              helper.make_node("DequantizeLinear", ["q", *inputs], ["d"]),
              helper.make_node("Neg", ["d"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n", 64]}, constants)
    x = (4 * rng.normal(size=(64, 64))).astype(np.float32)
    bounded = before in ("Sigmoid", "Clip")
    if zero_point == 128 or (zero_point in (None, 0) and bounded and scale == 1 / 127):
        tools.bit_for_bit(proto, x=x)
    else:
        with pytest.raises(UserError, match=f"asymmetric activations.*: {'x' if before == 'Identity' else 'b'}"):
            tools.converted(proto)


def test_asymmetric_weights_are_converted_where_their_codes_fit(tools):
    rng = np.random.default_rng(4)
    for low, high, fits in ((100, 140, True), (0, 256, False)):
        constants = {"s": np.float32(0.1), "z": np.int8(0), "ws": rng.uniform(0.01, 0.02, 8).astype(np.float32),
                     "wz": rng.integers(110, 130, 8).astype(np.uint8),
                     "w": rng.integers(low, high, (8, 16)).astype(np.uint8)}
        nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                 helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
                 helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
                 helper.make_node("Gemm", ["d", "wd"], ["y"], transB=1)]
        proto = tools.graph(nodes, {"x": ["n", 16]}, constants)
        if fits:
            tools.bit_for_bit(proto, x=rng.normal(size=(4, 16)).astype(np.float32))
        else:
            with pytest.raises(UserError, match=r"asymmetric weights.*: w"):
                tools.converted(proto)


@pytest.mark.slow
def test_modelopts_own_export(tools, pictures, tmp_path):
    import modelopt.torch.quantization as mtq
    import torch

    from twofour.training.models import tiny_resnet

    torch.manual_seed(0)
    network = tiny_resnet(widths=[16, 32], blocks=1).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = mtq.quantize(network, copy.deepcopy(mtq.INT8_DEFAULT_CFG), lambda net: net(torch.tensor(pictures)))
        torch.onnx.export(network, (torch.tensor(pictures[:2]),), str(tmp_path / "m.onnx"), dynamo=False,
                          opset_version=17, input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}})
    made = tools.bit_for_bit(onnx.load(tmp_path / "m.onnx"), x=pictures)
    assert sum(node.op_type == "QuantizeLinear" for node in made.graph.node) > 5
