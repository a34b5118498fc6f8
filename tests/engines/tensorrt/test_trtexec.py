from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from twofour.common.bundle import Tensor
from twofour.engines.config import TensorRTConfig
from twofour.engines.tensorrt.shapes import optimization_profile
from twofour.engines.tensorrt.trtexec import trtexec_command

INPUTS = [Tensor(name="x:0", dtype="float32", shape=["batch", 3, 8, 8]), Tensor(name="b", dtype="float32", shape=[4])]


def words(major=11, inputs=INPUTS, cache=None, **options):
    config = TensorRTConfig(**options)
    command = trtexec_command("typed.onnx", "t.plan", inputs, optimization_profile(inputs, config), config,
                              SimpleNamespace(major=major), cache)
    return shlex.split(command)


def test_the_usual_command():
    assert words(opt_batch=4) == [
        "trtexec", "--onnx=typed.onnx", "--saveEngine=t.plan", "--minShapes=x:0:1x3x8x8", "--optShapes=x:0:4x3x8x8",
        "--maxShapes=x:0:64x3x8x8", "--sparsity=enable", "--builderOptimizationLevel=3",
        "--profilingVerbosity=detailed", "--skipInference",
    ]


def test_release_10_must_be_asked_for_strong_types():
    assert set(words(10)) - set(words(11)) == {"--stronglyTyped"}


@pytest.mark.parametrize(("options", "more"), [
    ({"workspace_mib": 512}, {"--memPoolSize=workspace:512M"}),
    ({"tf32": False}, {"--noTF32"}),
    ({"refit": True}, {"--refit"}),
    ({"version_compatible": True}, {"--versionCompatible"}),
    ({"hardware_compatibility": "ampere_plus"}, {"--hardwareCompatibilityLevel=ampere+"}),
    ({"hardware_compatibility": "same_compute_capability"}, {"--hardwareCompatibilityLevel=sameComputeCapability"}),
    ({"optimization_level": 5}, {"--builderOptimizationLevel=5"}),
    ({"dla_core": 1}, {"--useDLACore=1", "--allowGPUFallback"}),
    ({"cache": Path("/a folder/c")}, {"--timingCacheFile=/a folder/c"}),
])
def test_options(options, more):
    assert set(words(**options)) - set(words()) == more


def test_dense():
    assert set(words()) - set(words(sparse=False)) == {"--sparsity=enable"}


def test_a_network_without_dynamic_dimensions_is_given_no_shapes():
    assert not any("Shapes" in word for word in words(inputs=INPUTS[1:]))


def test_a_dynamic_network_is_given_its_shape_even_if_it_is_only_one():
    assert "--optShapes=x:0:8x3x8x8" in words(min_batch=8, opt_batch=8, max_batch=8)
