"""Settings that this TensorRT or this machine lacks."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest

from twofour.common.bundle import Tensor
from twofour.common.errors import MissingError, UserError
from twofour.engines.config import ShapeRange, TensorRTConfig
from twofour.engines.tensorrt import builder_config as module
from twofour.engines.tensorrt.build_plan import build_plan
from twofour.engines.tensorrt.builder_config import builder_config, check_options
from twofour.engines.tensorrt.logger import Log, logger
from twofour.engines.tensorrt.progress import Phases, monitor


@pytest.fixture
def lacking(trt, monkeypatch):
    """A release that differs from the installed one."""

    def change(**changes):
        made = replace(module.capabilities(), **changes)
        monkeypatch.setattr(module, "capabilities", lambda: made)

    return change


@pytest.mark.parametrize(("option", "flag"), [
    ({"sparse": True}, "SPARSE_WEIGHTS"), ({"refit": True}, "REFIT"), ({"version_compatible": True},
                                                                      "VERSION_COMPATIBLE"),
])
def test_a_release_without_a_flag(lacking, gpu, option, flag):
    lacking(builder_flags=module.capabilities().builder_flags - {flag})
    with pytest.raises(MissingError, match=f"has no builder flag {flag}"):
        check_options(TensorRTConfig(**option), gpu)


def test_a_release_without_the_pool(lacking, gpu):
    lacking(pools=module.capabilities().pools - {"WORKSPACE"})
    check_options(TensorRTConfig(), gpu)
    with pytest.raises(MissingError, match="no limit for scratch memory"):
        check_options(TensorRTConfig(workspace_mib=64), gpu)


def test_a_release_without_a_level(lacking, gpu):
    lacking(hardware_levels=frozenset({"NONE", "AMPERE_PLUS"}))
    check_options(TensorRTConfig(hardware_compatibility="ampere_plus"), gpu)
    with pytest.raises(MissingError, match="It knows: ampere_plus, none"):
        check_options(TensorRTConfig(hardware_compatibility="same_compute_capability"), gpu)


def test_a_release_with_dla_on_a_machine_without(lacking, gpu, trt):
    lacking(dla_refusal=None)
    config = TensorRTConfig(dla_core=0, min_batch=8, max_batch=8)
    check_options(config, gpu)
    with pytest.raises(MissingError, match="no DLA core 0: this machine has 0"):
        builder_config(trt.Builder(logger(Log())), config, {}, monitor(Phases()))
    with pytest.raises(UserError, match="one batch size only"):
        check_options(TensorRTConfig(dla_core=0), gpu)


def test_a_dla_core_is_chosen_where_there_is_one(lacking, gpu, trt, monkeypatch):
    lacking(dla_refusal=None)
    monkeypatch.setattr(trt.Builder, "num_DLA_cores", property(lambda self: 2))
    config = TensorRTConfig(dla_core=1, min_batch=8, max_batch=8)
    made = builder_config(trt.Builder(logger(Log())), config, {}, monitor(Phases()))
    assert (made.DLA_core, made.default_device_type) == (1, trt.DeviceType.DLA)
    assert made.get_flag(trt.BuilderFlag.GPU_FALLBACK)


@pytest.mark.one_release
def test_a_profile_that_tensorrt_refuses_is_said(gpu, trt, monkeypatch):
    monkeypatch.setattr(trt.IBuilderConfig, "add_optimization_profile", lambda self, profile: -1)
    shapes = {"x": ShapeRange(min=[1, 64], opt=[8, 64], max=[16, 64])}
    with pytest.raises(UserError, match=r"refuses .*x from \[1, 64\] over \[8, 64\] to \[16, 64\].*--max-batch"):
        builder_config(trt.Builder(logger(Log())), TensorRTConfig(), shapes, monitor(Phases()))


def test_an_input_of_fixed_shape_is_in_no_profile(gpu, trt, tmp_path, shared, sparse_network):
    model = sparse_network.onnx()
    model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 64]))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [4, 10]))
    onnx.save(model, str(tmp_path / "typed.onnx"))
    built = build_plan(tmp_path / "typed.onnx", [Tensor(name="x", dtype="float32", shape=[4, 64])], TensorRTConfig())
    assert built.shapes["x"].opt == [4, 64]
    assert trt.double.builds[0]["profiles"] == []
