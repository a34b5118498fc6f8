"""Any pair of Q and DQ is converted exactly or refused; a refusal names the tensor."""

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from twofour.common.errors import UserError

VALUES = st.floats(-300, 300, width=32)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    unsigned=st.booleans(), zero=st.sampled_from([0, 1, 100, 127, 128, 200]), data=st.data(),
    scale=st.floats(2.0**-10, 4, width=32), before=st.sampled_from(["Relu", "Sigmoid", "Tanh", "Abs", "Identity"]),
    contrib=st.booleans(), values=st.lists(VALUES, min_size=8, max_size=8),
)
def test_a_random_pair_on_an_activation(tools, unsigned, zero, data, scale, before, contrib, values):
    kind = np.uint8 if unsigned else np.int8
    constants = {"s": np.float32(scale), "z": kind(zero if unsigned else zero - 100)}
    domain = {"domain": "com.microsoft"} if contrib else {}
    nodes = [helper.make_node(before, ["x"], ["b"]),
             helper.make_node("QuantizeLinear", ["b", "s", "z"], ["q"], **domain),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], **domain),
             helper.make_node("Neg", ["d"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n"]}, constants, domains=["com.microsoft"] if contrib else [])
    steps = np.float32(data.draw(st.integers(-300, 300))) + np.float32(0.5)  # halfway between two codes
    x = np.array([*values, steps * np.float32(scale), 0, -0.0], np.float32)
    try:
        tools.bit_for_bit(proto, x=x)
    except UserError as refused:
        _says(refused, "asymmetric activations, whose codes don't fit int8 with zero point 0: ", "xb")
        assert not (unsigned and zero == 128)
        assert unsigned or zero != 100


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1), unsigned=st.booleans(), spread=st.integers(1, 128),
    axis=st.sampled_from([-2, 0, 1]), missing=st.booleans(), stored=st.booleans(), dead=st.booleans(),
)
def test_random_weights(tools, seed, unsigned, spread, axis, missing, stored, dead):
    rng = np.random.default_rng(seed)
    kind, centre = (np.uint8, 128) if unsigned else (np.int8, 0)
    channels = (6, 5)[axis % 2]
    scale = rng.uniform(0.01, 0.1, channels).astype(np.float32)
    if dead and stored:
        scale[0] = 0
    zero = rng.integers(centre - 3, centre + 4, channels).astype(kind)
    codes = np.clip(rng.integers(centre - spread, centre + spread, (6, 5)), *_ends(kind)).astype(kind)
    constants = {"w": codes if stored else rng.normal(size=(6, 5)).astype(np.float32), "s": scale}
    parameters = ["s"]
    if not missing:
        constants["z"] = zero
        parameters = ["s", "z"]
    nodes = [] if stored else [helper.make_node("QuantizeLinear", ["w", *parameters], ["q"], axis=axis)]
    nodes += [helper.make_node("DequantizeLinear", ["w" if stored else "q", *parameters], ["wd"], axis=axis),
              helper.make_node("MatMul", ["x", "wd"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n", 6]}, constants)
    try:
        tools.bit_for_bit(proto, x=rng.normal(size=(4, 6)).astype(np.float32))
    except UserError as refused:
        _says(refused, "asymmetric weights" if "asymmetric" in refused.what else "scales that are zero", "wq")
        assert unsigned or not missing or not stored  # a Q without a zero point makes uint8


def _says(refused, words, tensors):
    assert words in refused.what
    assert any(f": {name} (1 in all)" in refused.what for name in tensors)


def _ends(kind):
    return np.iinfo(kind).min, np.iinfo(kind).max


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_scale_that_is_no_scale_is_refused(tools, bad):
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n"]}, {"s": np.float32(bad), "z": np.int8(0)})
    with pytest.raises(UserError, match="zero, negative or not finite: x"):
        tools.converted(proto)


def test_scales_per_block_and_at_run_time_are_refused(tools):
    constants = {"w": np.ones((8, 4), np.int8), "s": np.ones((2, 4), np.float32), "z": np.zeros((2, 4), np.int8)}
    nodes = [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"], axis=0, block_size=4),
             helper.make_node("MatMul", ["x", "wd"], ["y"])]
    with pytest.raises(UserError, match="per block"):
        tools.converted(tools.graph(nodes, {"x": ["n", 8]}, constants))
    nodes = [helper.make_node("ReduceMax", ["x"], ["s"], keepdims=0),
             helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    with pytest.raises(UserError, match="computed at run time"):
        tools.converted(tools.graph(nodes, {"x": ["n", 8]}, {"z": np.int8(0)}))


def test_fp8_is_refused(tools):
    zero = onnx.helper.make_tensor("z", onnx.TensorProto.FLOAT8E4M3FN, [], [0.0])
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    proto = tools.graph(nodes, {"x": ["n"]}, {"s": np.float32(1)}, domains=["com.microsoft"])
    proto.graph.initializer.append(zero)
    with pytest.raises(UserError, match="codes of type float8_e4m3fn: x"):
        tools.converted(proto)
