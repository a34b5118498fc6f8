from __future__ import annotations

import numpy as np
import onnx
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines import build
from twofour.engines.build import build_engine, engine_of
from twofour.engines.commands import profile_target, validate_target
from twofour.engines.config import OnnxRuntimeConfig, ProfileConfig, ValidateConfig
from twofour.engines.onnxruntime import runner
from twofour.engines.validate import validate_engine

QUICK = ProfileConfig(batch=[1], seconds=0.01, runs=10, warmup=0.0)
ANY, TWO = OnnxRuntimeConfig(), OnnxRuntimeConfig(threads=2)


@pytest.fixture
def loaded(monkeypatch):
    """The threads of every session that is opened."""
    seen, real = [], runner.open_session
    monkeypatch.setattr(runner, "open_session", lambda path, threads: seen.append(threads) or real(path, threads))
    return seen


def test_threads_that_are_asked_for_are_those_of_both_arms(engine, loaded):
    assert profile_target(engine, QUICK, ANY).machine["threads"] == 1
    assert loaded == [1, 1]
    found = profile_target(engine, QUICK, TWO)
    assert loaded[2:] == [2, 2]
    assert found.machine["threads"] == 2
    assert files.read_json(engine / "profile" / "profile.json")["machine"]["threads"] == 2


def test_an_engine_is_built_again_only_for_other_threads_that_were_asked_for(bundle, network, monkeypatch):
    onnx.save(network.onnx(dtype=np.int8), str(bundle / bundles.MODEL))
    content = files.read_json(bundle / bundles.MANIFEST)
    files.write_json(bundle / bundles.MANIFEST, content | {"files": files.hashes(bundle, list(content["files"]))})
    folder, _ = build_engine(bundle, TWO)
    made = []
    monkeypatch.setattr(build, "build_engine", lambda *args: made.append(args) or (folder, None))
    assert [engine_of(bundle, config) for config in (ANY, TWO)] == [folder, folder]
    assert made == []
    engine_of(bundle, OnnxRuntimeConfig(threads=1))
    assert len(made) == 1


def test_gates_are_those_of_the_last_validation(engine):
    def limits(**gates):
        return {gate.name: gate.limit for gate in validate_target(engine, ANY, **gates).gates}

    assert limits() == {"max_drop": 0.01, "min_agreement": 0.995}
    validate_engine(engine, None, ValidateConfig(max_drop=0.5, min_agreement=None, min_snr_db=3))
    assert limits() == {"max_drop": 0.5, "min_snr_db": 3}
    assert limits(max_drop=0.25) == {"max_drop": 0.25, "min_snr_db": 3}
    assert limits(gates=False, min_agreement=0.75) == {"min_agreement": 0.75}
    assert limits(gates=False) == {}
    assert limits() == {}


def test_a_damaged_record_of_gates_is_said_and_made_again(engine, capsys):
    files.write_text(engine / "validate" / "validation.json", "[]")
    assert len(validate_target(engine, ANY).gates) == 2
    assert "validation.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("gate", [{"max_drop": -1.0}, {"min_agreement": 1.5}, {"max_drop": float("nan")}])
def test_an_impossible_gate_is_refused(engine, gate):
    with pytest.raises(UserError, match=next(iter(gate))):
        validate_target(engine, ANY, **gate)
    assert not (engine / "validate").exists()
