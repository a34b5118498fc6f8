"""An engine built and judged three ways, over its range of batches, as the command does it."""

import numpy as np
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import GateError, UserError
from twofour.engines.build import build_engine
from twofour.engines.config import TensorRTConfig, ValidateConfig
from twofour.engines.cuda.api import OutOfMemoryError
from twofour.engines.folder import require
from twofour.engines.tensorrt.context import Context
from twofour.engines.validate import validate_engine


@pytest.fixture
def build(gpu, trt_bundle):
    def run(**options):
        return build_engine(trt_bundle, TensorRTConfig(timing_cache="off", **options))[0]

    return run


@pytest.mark.parametrize("rest", ["fp32", "fp16", "bf16"])
def test_a_faithful_engine_meets_the_gates(build, trt_bundle, cuda, rest):
    found = validate_engine(build(rest=rest), trt_bundle, ValidateConfig())
    beside = {row.name: row for row in found.runtimes if row.against == "PyTorch"}
    assert list(beside) == ["ONNX Runtime, model.onnx", "ONNX Runtime, typed.onnx", "TensorRT"]
    typed = beside["ONNX Runtime, typed.onnx"]
    assert typed.agreement is None or typed.agreement.predictions > (0.97 if rest == "bf16" else 0.99), typed
    assert [row.batch for row in found.batches] == [1, 8, 64]
    assert all(row.steady for row in found.batches)
    assert all(gate.met for gate in found.gates)
    assert (found.samples, found.layers, found.findings) == (150, [], [])
    assert not cuda.alive()


def test_a_fault_of_tensorrts_own_is_told_from_the_graphs(build, trt, trt_bundle):
    folder = build(rest="fp32")

    def spoilt(graph, given, names):
        from doubles import compute

        found = compute.run(graph.SerializeToString(), given, names)
        return {name: -value if name == "logits" and len(value) > 1 else value for name, value in found.items()}

    trt.double.run = spoilt
    found = validate_engine(folder, trt_bundle, ValidateConfig())
    assert {row.batch: row.steady for row in found.batches} == {1: False, 8: True, 64: True}
    assert any("agrees with PyTorch on the same graph, TensorRT doesn't" in text for text in found.findings)
    assert any("In batches of 1 the engine answers otherwise" in text for text in found.findings)
    with pytest.raises(GateError, match="min_agreement"):
        require(found.gates)


def test_a_range_that_begins_above_1_and_ends_below_64(build, trt_bundle):
    found = validate_engine(build(min_batch=4, opt_batch=16, max_batch=32), trt_bundle, ValidateConfig())
    assert [row.batch for row in found.batches] == [4, 16, 32]
    assert found.samples == 150  # the last batch of 6 is taken as it is, one of 2 would be filled up
    assert all(gate.met for gate in found.gates)


def test_layers_are_built_only_when_asked_for(build, trt, trt_bundle):
    folder = build(rest="fp32")
    builds = len(trt.double.builds)
    validate_engine(folder, trt_bundle, ValidateConfig())
    assert len(trt.double.builds) == builds
    found = validate_engine(folder, trt_bundle, ValidateConfig(), layers=True)
    assert len(trt.double.builds) == builds + 1
    assert [row.tensor for row in found.layers] == ["fc1.input_quantizer", "fc2.input_quantizer", "logits"]


def test_a_plan_that_needs_trust_is_judged_with_it_only(build, trt_bundle):
    folder = build()
    record = files.read_json(folder / "engine.json")
    record["tensorrt"]["signature"] = ""
    files.write_json(folder / "engine.json", record)
    with pytest.raises(UserError, match="--trust"):
        validate_engine(folder, trt_bundle, ValidateConfig())
    assert validate_engine(folder, trt_bundle, ValidateConfig(), trust=True).agreement.predictions == 1


def test_short_memory_is_said_as_such_and_nothing_is_written(build, trt_bundle, cuda):
    folder = build()
    cuda.memory_bytes = 1 << 19
    with pytest.raises(OutOfMemoryError, match="don't fit into the GPU"):
        validate_engine(folder, trt_bundle, ValidateConfig())
    assert not (folder / "validate").exists()
    assert not cuda.alive()


def test_nan_in_the_bundles_inputs(build, trt_bundle):
    folder = build()
    arrays = files.load_npz(trt_bundle / bundles.REFERENCE)
    arrays["inputs/x"][3, 0] = np.nan
    files.save_npz(trt_bundle / bundles.REFERENCE, arrays)
    content = files.read_json(trt_bundle / bundles.MANIFEST)
    content["files"] = files.hashes(trt_bundle, content["files"])
    files.write_json(trt_bundle / bundles.MANIFEST, content)
    record = files.read_json(folder / "engine.json")
    record["bundle_digest"] = files.sha256(trt_bundle / bundles.MANIFEST)
    files.write_json(folder / "engine.json", record)
    with pytest.raises(UserError, match=r"reference\.npz: The input 'x' holds NaN in sample 3"):
        validate_engine(folder, trt_bundle, ValidateConfig())


def test_an_engine_that_breaks_while_it_runs_leaves_nothing_behind(build, trt_bundle, cuda, monkeypatch):
    folder = build()
    enqueue, calls = Context.enqueue, []

    def breaks(self, stream):
        calls.append(stream)
        if len(calls) == 3:
            raise KeyboardInterrupt
        enqueue(self, stream)

    monkeypatch.setattr(Context, "enqueue", breaks)
    with pytest.raises(KeyboardInterrupt):
        validate_engine(folder, trt_bundle, ValidateConfig())
    assert not (folder / "validate").exists()
    assert not cuda.alive()
