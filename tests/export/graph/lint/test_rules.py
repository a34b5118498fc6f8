"""Each rule on a graph that breaks it and on one that nearly does."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from twofour.export.graph.lint import lint
from twofour.export.graph.lint.catalogue import ALL

BROKEN, WHOLE = {}, {}


def broken(rule, node, text=""):
    """The graph that the function builds breaks `rule` at `node`."""
    def keep(build):
        BROKEN.setdefault(rule, []).append((build, node, text))
        return build
    return keep


def whole(*rules):
    """The graph that the function builds breaks none of `rules`."""
    def keep(build):
        for rule in rules:
            WHOLE.setdefault(rule, []).append(build)
        return build
    return keep


# operators


@broken("OPS001", "bad", "ConvInteger")
def conv_integer(net):
    net.inputs = {"x": (TensorProto.INT8, [1, 4, 4, 4])}
    return net.op("ConvInteger", ["x", net.const("w", np.ones((4, 4, 1, 1), np.int8))], "bad")


@broken("OPS001", "bad", "Unique")
def unique(net):
    return net.op("Unique", ["x"], "bad")


@broken("OPS003", "bad", "from 10.14 on")
def attention(net):
    return net.op("Attention", ["x", "x", "x"], "bad"), {"opset": 23}


@broken("OPS004", "bad", "CumProd")
def unheard_of(net):
    return net.op("CumProd", ["x", net.const("axis", np.int64(1))], "bad"), {"opset": 25}


@broken("OPS005", "bad", "com.microsoft")
def contributed(net):
    return net.op("QGemm", ["x"], "bad", domain="com.microsoft"), {"domains": ["com.microsoft"]}


@whole("OPS004", "OPS005", "OPS006")
def function(net):
    body = helper.make_function("mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                                [helper.make_opsetid("", 21)])
    return net.op("Twice", ["x"], "y", domain="mine"), {"domains": ["mine"], "functions": [body]}


@broken("OPS006", "bad", "plugin")
def plugin(net):
    return net.op("TRT_FP8QuantizeLinear", ["x"], "bad", domain="trt"), {"domains": ["trt"]}


@broken("OPS007", "", "opset 27")
def future(net):
    return net.op("Relu", ["x"], "y"), {"opset": 27}


@broken("OPS009", "", "older than 9")
def past(net):
    return net.op("Relu", ["x"], "y"), {"opset": 7}


@broken("OPS010", "x", "STRING")
def text(net):
    net.inputs = {"x": (TensorProto.STRING, [1])}
    return net.op("Identity", ["x"], "y")


@broken("OPS010", "bad", "UINT8")
def cast(net):
    return net.op("Cast", [net.op("Cast", ["x"], "bad", to=TensorProto.UINT8)], "y", to=TensorProto.FLOAT)


@whole("OPS010")
def picture(net):
    net.inputs = {"x": (TensorProto.UINT8, [1, 3, 8, 8])}
    return net.op("Cast", ["x"], "y", to=TensorProto.FLOAT)


@broken("OPS011", "bad", "Indices")
def indices(net):
    net.op("MaxPool", ["x"], "bad", ["where"], kernel_shape=[2, 2])
    return net.op("Cast", ["where"], "y", to=TensorProto.FLOAT)


@broken("OPS011", "bad", "dilations")
def dilated(net):
    return net.op("MaxPool", ["x"], "bad", kernel_shape=[2, 2], dilations=[2, 2])


@broken("OPS011", "bad", "cubic")
def cubic(net):
    sizes = net.const("sizes", np.array([1, 1, 2, 2], np.float32))
    return net.op("Resize", ["x", "", sizes], "bad", mode="cubic")


@broken("OPS011", "bad", "run time")
def reduced(net):
    net.inputs["axes"] = (TensorProto.INT64, [1])
    return net.op("ReduceMean", ["x", "axes"], "bad")


@broken("OPS011", "bad", "sorted")
def unsorted(net):
    return net.op("TopK", ["x", net.const("k", np.array([2]))], "bad", ["i"], sorted=0)


@whole("OPS011")
def within_limits(net):
    pooled = net.op("MaxPool", ["x"], "a", ["unread"], kernel_shape=[2, 2], dilations=[1, 1])
    return net.op("ReduceMean", [pooled, net.const("axes", np.array([1]))], "y")


@broken("OPS012", "", "IR version 14")
def new_format(net):
    return net.op("Relu", ["x"], "y"), {"ir_version": 14}


# codes and scales


@broken("QDQ001", "bad", "zero point is 3")
def asymmetric(net):
    return net.pair("x", "bad", zero=3)


@broken("QDQ002", "bad", "uint8 with zero point 7")
def unsigned(net):
    return net.pair("x", "bad", zero=7, codes=np.uint8)


@broken("QDQ002", "bad", "around 128")
def around_128(net):
    return net.pair("x", "bad", zero=128, codes=np.uint8)


@broken("QDQ003", "bad/q", "no zero point")
def without_zero_point(net):
    net.op("QuantizeLinear", ["x", net.const("s", np.float32(1))], "bad/q")
    return net.op("DequantizeLinear", ["bad/q", "s"], "bad")


@whole("QDQ002", "QDQ003", "QDQ005")
def with_output_type(net):
    net.op("QuantizeLinear", ["x", net.const("s", np.float32(1))], "q", output_dtype=TensorProto.INT8)
    return net.op("DequantizeLinear", ["q", "s"], "y")


@broken("QDQ004", "bad", "run time")
def computed_zero_point(net):
    zero = net.op("Cast", [net.op("ReduceMax", ["x"], "max", keepdims=0)], "zero", to=TensorProto.INT8)
    net.op("QuantizeLinear", ["x", net.const("s", np.float32(1)), zero], "bad/q")
    return net.op("DequantizeLinear", ["bad/q", "s", zero], "bad")


@broken("QDQ005", "bad", "int16")
def int16(net):
    return net.pair("x", "bad", codes=np.int16)


@broken("QDQ006", "bias", "the bias of conv")
def integer_bias(net):
    codes, step = net.const("b", np.ones(16, np.int32)), net.const("s", np.float32(1))
    bias = net.op("DequantizeLinear", [codes, step], "bias")
    return net.op("Conv", [net.pair("x", "in"), net.weight("conv", np.ones((16, 16, 1, 1))), bias], "conv")


def small(net, shape, kind):
    codes = helper.make_tensor("codes", kind, shape, np.zeros(shape).reshape(-1))
    net.stored.append(codes)
    net.stored.append(helper.make_tensor("zero", kind, [], [0]))
    return net.op("DequantizeLinear", ["codes", net.const("s", np.float32(1)), "zero"], "w")


@broken("QDQ007", "w", "INT4")
@whole("QDQ008")
def int4(net):
    return net.op("MatMul", ["x", small(net, [8, 8], TensorProto.INT4)], "y")


@broken("QDQ008", "w", "convolution")
def int4_conv(net):
    return net.op("Conv", ["x", small(net, [16, 16, 1, 2], TensorProto.INT4)], "y")


@broken("QDQ008", "w", "odd number")
def int4_odd(net):
    return net.op("MatMul", ["x", small(net, [8, 7], TensorProto.INT4)], "y")


@broken("QDQ009", "w", "float8e4m3fn")
def fp8(net):
    return net.op("MatMul", ["x", small(net, [8, 8], TensorProto.FLOAT8E4M3FN)], "y")


@broken("QDQ010", "bad", "run time")
def computed_scale(net):
    scale = net.op("ReduceMax", ["x"], "max", keepdims=0)
    net.op("QuantizeLinear", ["x", scale, net.const("z", np.int8(0))], "bad/q")
    return net.op("DequantizeLinear", ["bad/q", scale, "z"], "bad")


@whole("QDQ010")
def folded_scale(net):
    scale = net.op("Mul", [net.const("a", np.float32(1)), net.const("b", np.float32(2))], "scale")
    net.op("QuantizeLinear", ["x", scale, net.const("z", np.int8(0))], "q")
    return net.op("DequantizeLinear", ["q", scale, "z"], "y")


@broken("QDQ011", "bad", "1 of its 1 scales is zero")
def zero_scale(net):
    return net.pair("x", "bad", scale=0.0)


@broken("QDQ012", "bad", "2 of its 16 scales are negative")
def negative_scale(net):
    scale = np.ones(16, np.float32)
    scale[:2] = -1
    weight = net.pair(net.const("w", np.ones((16, 16, 1, 1), np.float32)), "bad", scale, axis=0)
    return net.op("Conv", ["x", weight], "y")


@broken("QDQ013", "bad", "not finite")
def infinite_scale(net):
    return net.pair("x", "bad", scale=np.nan)


@broken("QDQ014", "bad/q", "8 scales for 16 channels of axis 0")
def too_few_scales(net):
    weight = net.pair(net.const("w", np.ones((16, 16, 1, 1), np.float32)), "bad", np.ones(8, np.float32), axis=0)
    return net.op("Conv", ["x", weight], "y")


@broken("QDQ015", "bad/q", "FLOAT16, its input FLOAT")
def mixed_scale(net):
    return net.pair("x", "bad", np.array(1, np.float16))


@whole("QDQ015", "QDQ016")
def all_half(net):
    half = net.op("Cast", ["x"], "half", to=TensorProto.FLOAT16)
    return net.op("Cast", [net.pair(half, "a", np.array(1, np.float16))], "y", to=TensorProto.FLOAT)


@broken("QDQ016", "y", "FLOAT and FLOAT16")
def mixed_types(net):
    weight = net.pair(net.const("w", np.ones((16, 16, 1, 1), np.float16)), "weight", np.array(1, np.float16))
    return net.op("Conv", [net.pair("x", "in"), weight], "y")


@broken("QDQ017", "bad", "per block")
def blocks(net):
    weight = net.pair(net.const("w", np.ones((16, 16), np.float32)), "bad", np.ones((16, 4), np.float32), axis=1,
                      block_size=4)
    return net.op("MatMul", ["x", weight], "y")


@broken("QDQ018", "bad", "axis 1")
def activation_per_channel(net):
    return net.pair("x", "bad", np.ones(16, np.float32), axis=1)


def layer(net, kind, shape, axis, transpose=None, **attributes):
    weight = net.weight("w", np.ones(shape), axis)
    if transpose:
        weight = net.op("Transpose", [weight], "turned", perm=transpose)
    return net.op(kind, [net.pair("x", "in"), weight], "bad", **attributes)


@broken("QDQ019", "bad", "along axis 1; its output channels are axis 0")
def conv_axis(net):
    return layer(net, "Conv", (16, 16, 1, 1), 1)


@broken("QDQ019", "bad", "along axis 1; its output channels are axis 0")
def gemm_axis(net):
    return layer(net, "Gemm", (16, 16), 1, transB=1)


@broken("QDQ019", "bad", "along axis 0; its output channels are axis 1")
def matmul_axis(net):
    return layer(net, "MatMul", (16, 16), 0)


@broken("QDQ019", "bad", "along axis 0; its output channels are axis 1")
def turned_axis(net):
    return layer(net, "MatMul", (16, 16), 1, [1, 0])


@whole("QDQ014", "QDQ018", "QDQ019", "QDQ020")
def right_axis(net):
    return layer(net, "MatMul", (16, 16), 0, [1, 0])


@whole("QDQ019")
def right_gemm(net):
    return layer(net, "Gemm", (16, 16), 1)


@whole("QDQ019")
def last_axis(net):
    return layer(net, "MatMul", (16, 16), -1)


@broken("QDQ020", "bad", "axis 1")
def transposed(net):
    return layer(net, "ConvTranspose", (16, 16, 1, 1), 1)


@whole("QDQ020")
def transposed_per_tensor(net):
    weight = net.pair(net.const("w", np.ones((16, 16, 1, 1), np.float32)), "weight")
    return net.op("ConvTranspose", [net.pair("x", "in"), weight], "y")


@broken("QDQ021", "left", "but nothing")
def unread_codes(net):
    net.op("QuantizeLinear", ["x", net.const("s", np.float32(1)), net.const("z", np.int8(0))], "left")
    return net.op("Relu", ["x"], "y")


@broken("QDQ022", "bad", "an input of the network")
def unmade_codes(net):
    net.inputs = {"x": (TensorProto.INT8, [4])}
    return net.op("DequantizeLinear", ["x", net.const("s", np.float32(1)), net.const("z", np.int8(0))], "bad")


@whole("QDQ021", "QDQ022")
def carried_codes(net):
    net.op("QuantizeLinear", ["x", net.const("s", np.float32(1)), net.const("z", np.int8(0))], "q")
    carried = net.op("Transpose", ["q"], "carried")
    return net.op("DequantizeLinear", [carried, "s", "z"], "y")


# placement


def normalized(net, source):
    vectors = [net.const(name, np.ones(16, np.float32)) for name in ("gamma", "beta", "mean", "var")]
    return net.op("BatchNormalization", [source, *vectors], "norm")


@broken("FUSE001", "norm", "net.1 from this BatchNormalization")
def before_norm(net):
    first = net.conv(net.pair("x", "in"), "net.1")
    return net.pair(normalized(net, net.pair(first, "parting")), "out")


@broken("FUSE002", "relu", "net.1 from this Relu")
def before_relu(net):
    first = net.conv(net.pair("x", "in"), "net.1")
    return net.pair(net.op("Relu", [net.pair(normalized(net, first), "parting")], "relu"), "out")


@whole("FUSE001", "FUSE002")
def behind_relu(net):
    first = net.conv(net.pair("x", "in"), "net.1")
    return net.pair(net.op("Relu", [normalized(net, first)], "relu"), "out")


@broken("FUSE003", "net.1", "its weight is quantized but not its input")
def only_weight(net):
    return net.conv("x", "net.1")


@broken("FUSE003", "bad", "its input is quantized but not its weight")
def only_input(net):
    return net.op("Conv", [net.pair("x", "in"), net.const("w", np.ones((16, 16, 1, 1), np.float32))], "bad")


@broken("FUSE003", "bad", "its second input is quantized but not its first input")
def one_operand(net):
    return net.op("MatMul", ["x", net.pair("x", "in")], "bad")


def block(net, *, main, skip):
    """A residual block; pairs on its branches as asked."""
    given = net.pair("x", "in")
    branch = net.conv(given, "branch")
    left = net.pair(branch, "main") if main else branch
    right = given if skip else "x"
    return net.pair(net.op("Relu", [net.op("Add", [left, right], "sum")], "relu"), "out")


@broken("FUSE004", "sum", "also that from branch")
def pair_on_main(net):
    return block(net, main=True, skip=True)


@broken("FUSE005", "sum", "a float from an input of the network")
def float_skip(net):
    return block(net, main=False, skip=False)


@whole("FUSE004", "FUSE005", "FUSE011")
def right_block(net):
    return block(net, main=False, skip=True)


@whole("FUSE004")
def right_downsampling(net):
    given = net.pair("x", "in")
    left, right = net.conv(given, "left"), net.pair(net.conv(given, "right"), "skip")
    return net.pair(net.op("Add", [left, right], "sum"), "out")


def joined(net, scales, float_too=False):
    parts = [net.pair("x", f"part{index}", scale) for index, scale in enumerate(scales)]
    return net.pair(net.op("Concat", [*parts, *(["x"] if float_too else [])], "cat", axis=1), "out")


@broken("FUSE006", "cat", "2 different scales, 0.1 to 0.2")
def unequal_scales(net):
    return joined(net, [0.1, 0.2, 0.1])


@broken("FUSE007", "cat", "1 of its 2 inputs")
def half_joined(net):
    return joined(net, [0.1], float_too=True)


@whole("FUSE006", "FUSE007")
def equal_scales(net):
    return joined(net, [0.1, 0.1])


@whole("FUSE006", "FUSE007")
def float_concat(net):
    return net.op("Concat", ["x", "x"], "cat", axis=1)


@broken("FUSE008", "soft", "Softmax computes in float")
def softmax(net):
    soft = net.op("Softmax", [net.conv(net.pair("x", "in"), "net.1")], "soft")
    return net.pair(net.conv(net.pair(soft, "mid"), "net.2"), "out")


@whole("FUSE008")
def softmax_at_the_end(net):
    return net.op("Softmax", [net.conv(net.pair("x", "in"), "net.1")], "soft")


@broken("FUSE009", "bad", "Conv is not quantized")
def float_layer(net):
    return net.op("Conv", [net.sound(), net.const("w", np.ones((16, 16, 1, 1), np.float32))], "last") and net.op(
        "Conv", ["x", "w"], "bad")


@whole("FUSE009", "FUSE003", "FUSE008")
def float_network(net):
    return net.op("Conv", ["x", net.const("w", np.ones((16, 16, 1, 1), np.float32))], "y")


@broken("FUSE010", "pool", "Sin reads its output as float")
@whole("FUSE011")
def float_pool(net):
    pool = net.op("GlobalAveragePool", [net.pair("x", "in")], "pool")
    return net.op("Sin", [net.op("Flatten", [pool], "flat")], "y")


@whole("FUSE010")
def quantized_pool(net):
    return net.pair(net.op("GlobalAveragePool", [net.pair("x", "in")], "pool"), "out")


@broken("FUSE011", "sum", "Sin reads its output as float")
def float_sum(net):
    return net.op("Sin", [net.op("Add", [net.pair("x", "a"), net.pair("x", "b")], "sum")], "y")


@whole("FUSE002")
def narrow_range(net):
    first = net.pair(net.conv(net.pair("x", "in"), "net.1"), "once")
    bounds = [net.const("low", np.float32(-1)), net.const("high", np.float32(1))]
    return net.pair(net.op("Clip", [first, *bounds], "twice/clipped"), "twice")


# sparsity


def beside(net, weight, quantized=True, **attributes):
    """A layer in a network of which two layers are 2:4."""
    weight = np.asarray(weight, np.float32)
    stored = net.weight("bad", weight) if quantized else net.const("bad.weight", weight)
    return net.pair(net.op("Conv", [net.sound(), stored], "bad", **attributes), "end")


def half_zero(shape=(16, 16, 1, 1)):
    weight = np.ones(shape, np.float32)
    weight[:, : shape[1] // 2] = 0  # half of it, but in groups that are all or nothing
    return weight


@broken("SPARSE002", "bad", "50% of its weight is zero, but 32 of 64 groups")
@whole("SPARSE003", "SPARSE004", "SPARSE005")
def lost(net):
    weight = half_zero()
    weight[0, 0], weight[0, 8] = 1, 0
    weight[1, 1], weight[1, 9] = 1, 0
    return beside(net, weight)


@broken("SPARSE003", "bad", "2:4 along axis 0, but the layer sums over axis 1")
@whole("SPARSE002", "SPARSE004")
def wrong_axis(net):
    return beside(net, net.two_four((16, 16, 1, 1), 0))


@broken("SPARSE003", "bad", "the flattened kernel")
def flattened(net):
    fours = np.random.default_rng(0).permuted(np.tile(np.float32([0, 0, 1, 1]), (144, 1)), axis=1)
    return beside(net, fours.reshape(4, 16, 3, 3))


@broken("SPARSE004", "bad", "all but 1 of its 64 groups")
@whole("SPARSE002", "SPARSE005")
def nearly(net):
    weight = net.two_four((16, 16, 1, 1))
    weight[3, 4] = 1
    return beside(net, weight)


@broken("SPARSE005", "bad", "dense (0% zeros)")
@whole("SPARSE002", "SPARSE004", "SPARSE006")
def dense(net):
    return beside(net, np.ones((16, 16, 1, 1)))


@broken("SPARSE006", "bad", "sums over 18 channels; 20 would")
@whole("SPARSE005")
def padded(net):
    return beside(net, np.ones((16, 18, 1, 1)))


@whole("SPARSE005", "SPARSE006")
def depthwise(net):
    return beside(net, np.ones((16, 1, 3, 3)), group=16)


@whole("SPARSE002", "SPARSE005")
def dense_network(net):
    return net.pair(net.conv(net.pair("x", "in"), "net.1", weight=np.ones((16, 16, 1, 1))), "out")


@broken("SPARSE007", "bad", "2:4, but float")
def float_sparse(net):
    return beside(net, net.two_four((16, 16, 1, 1)), quantized=False)


@broken("SPARSE008", "a", "shares the weight 'w' with b")
def shared(net):
    weight = net.const("w", np.ones((16, 16, 1, 1), np.float32))
    return net.op("Conv", [net.op("Conv", ["x", weight], "a"), weight], "b")


@broken("SPARSE009", "net.1", "read by Sin")
def float_out(net):
    return net.op("Sin", [net.conv(net.pair("x", "in"), "net.1")], "y")


@broken("SPARSE010", "bad", "computed while")
def computed(net):
    net.inputs["w"] = (TensorProto.FLOAT, [16, 16, 1, 1])
    return net.op("Conv", ["x", "w"], "bad")


@whole("SPARSE010", "SPARSE009")
def two_activations(net):
    return net.op("MatMul", ["x", "x"], "y")


@broken("FILE001", "bad", "can't be read")
def malformed(net):
    return net.op("QuantizeLinear", [], "bad")


ELSEWHERE = {"OPS002", "OPS008", "SPARSE001"}  # need a release or a bundle: tests of their own


def made(net, build):
    output = build(net)
    output, more = output if isinstance(output, tuple) else (output, {})
    return net.model(output, **more)


@pytest.mark.parametrize(("rule", "build", "node", "text"), [
    pytest.param(rule, *case, id=f"{rule}-{case[0].__name__}") for rule, cases in BROKEN.items() for case in cases
])
def test_a_broken_graph_is_found(nets, rule, build, node, text):
    found = [one for one in lint(made(nets(), build)) if one.id == rule and one.node == node]
    assert found, f"{rule} at {node}"
    assert text in found[0].text
    assert found[0].severity == next(known.severity for known in ALL if known.id == rule)
    assert found[0].why
    assert found[0].fix


@pytest.mark.parametrize(("rule", "build"), [
    pytest.param(rule, build, id=f"{rule}-{build.__name__}") for rule, builds in WHOLE.items() for build in builds
])
def test_a_graph_that_only_looks_like_it_is_left_alone(nets, rule, build):
    assert [one for one in lint(made(nets(), build)) if one.id == rule] == []


def test_a_sound_graph_has_no_findings(net):
    assert lint(net.model(net.sound())) == []


def test_every_rule_has_a_graph_that_breaks_it():
    assert set(BROKEN) | ELSEWHERE == {rule.id for rule in ALL}
