from __future__ import annotations

import json

import numpy as np
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import GateError, UserError
from twofour.engines import answers
from twofour.engines.config import ValidateConfig
from twofour.engines.folder import require
from twofour.engines.records import ValidationRecord
from twofour.engines.validate import evaluate, validate_engine


def test_a_faithful_engine(engine, bundle, plain_backend):
    found = validate_engine(engine, bundle, ValidateConfig())
    assert found.agreement.predictions == 1
    assert found.agreement.samples == 40
    assert found.value == pytest.approx(found.pytorch_value, abs=0.01)
    assert found.samples == 150
    assert found.dense_value == found.pytorch_value
    assert [one.tensor for one in found.layers] == ["fc1.input_quantizer", "fc2.input_quantizer", "logits"]
    assert {gate.name: gate.met for gate in found.gates} == {"max_drop": True, "min_agreement": True}
    written = json.loads((engine / "validate" / "validation.json").read_text())
    assert ValidationRecord.model_validate(written) == found


def test_a_missed_gate_is_written_with_all_figures_before_anyone_raises(engine, plain_backend):
    config = ValidateConfig(max_drop=0, min_agreement=1, min_snr_db=299)
    found = validate_engine(engine, None, config)
    assert {gate.name: gate.met for gate in found.gates}["min_snr_db"] is False
    assert json.loads((engine / "validate" / "validation.json").read_text())["gates"][-1]["met"] is False
    with pytest.raises(GateError, match="min_snr_db"):
        require(found.gates)


def test_without_a_dense_stage_the_drop_is_against_pytorch(engine, bundle, plain_backend, network):
    content = files.read_json(bundle / bundles.MANIFEST)
    content["metrics"], content["eval_metric"] = {}, 1.0
    files.write_json(bundle / bundles.MANIFEST, content)
    record = files.read_json(engine / "engine.json")
    record["bundle_digest"] = files.sha256(bundle / bundles.MANIFEST)
    files.write_json(engine / "engine.json", record)
    found = validate_engine(engine, bundle, ValidateConfig())
    assert found.dense_value is None
    gate = found.gates[0]
    assert (gate.name, gate.met) == ("max_drop_from_pytorch_int8", False)
    assert gate.value == pytest.approx(1 - found.value)


def test_the_drop_is_measured_on_the_samples_of_the_engine(engine, bundle, plain_backend):
    content = files.read_json(bundle / bundles.MANIFEST)
    content["metrics"], content["dense_eval_metric"] = {"dense": {"accuracy": 0.0}}, 1.0
    files.write_json(bundle / bundles.MANIFEST, content)
    record = files.read_json(engine / "engine.json")
    record["bundle_digest"] = files.sha256(bundle / bundles.MANIFEST)
    files.write_json(engine / "engine.json", record)
    found = validate_engine(engine, bundle, ValidateConfig())
    assert found.dense_value == 1
    assert (found.gates[0].name, found.gates[0].met) == ("max_drop", False)
    assert found.gates[0].value == pytest.approx(1 - found.value)


def test_samples_go_through_in_batches_of_bounded_size_the_last_one_too(monkeypatch):
    monkeypatch.setattr(answers, "BATCH", 4)
    sizes, steps = [], []

    class Echo:
        def infer(self, inputs):
            sizes.append(len(inputs["x"]))
            return {"y": inputs["x"]}

        def close(self):
            pass

    targets = np.arange(10) % 3
    assert evaluate(Echo(), {"x": np.eye(3)[targets]}, targets, "y", steps.append) == (1.0, 10)
    assert sizes == steps == [4, 4, 2]
    with pytest.raises(UserError, match="10 inputs but 9 targets"):
        evaluate(Echo(), {"x": np.eye(3)[targets]}, targets[:9], "y", steps.append)
    with pytest.raises(UserError, match="no output 'z'"):
        evaluate(Echo(), {"x": np.eye(3)[targets]}, targets, "z", steps.append)


def test_samples_that_the_engine_refuses_are_named():
    class Refuses:
        def infer(self, inputs):
            raise ValueError("Got invalid dimensions")

        def close(self):
            pass

    with pytest.raises(UserError, match="samples from number 0 on: Got invalid"):
        evaluate(Refuses(), {"x": np.ones((2, 3))}, np.zeros(2, int), "y", lambda steps: None)


def test_a_damaged_engine_is_refused_and_nothing_is_written(engine, plain_backend):
    with (engine / "engine.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    with pytest.raises(UserError, match=r"engine\.onnx"):
        validate_engine(engine, None, ValidateConfig())
    assert not (engine / "validate").exists()
