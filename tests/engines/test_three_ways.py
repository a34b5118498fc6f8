"""Whose difference it is, and at which batch: engines that are wrong in a known way."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.bundle import Agreement
from twofour.common.errors import UserError
from twofour.engines import backend as backends
from twofour.engines.config import ValidateConfig
from twofour.engines.records import ENGINE, ValidationRecord
from twofour.engines.validate import validate_engine


class Engine:
    """ONNX Runtime in the place of an engine that was built for batches of 1 to 64."""

    batches = (1, 8, 64)

    def __init__(self, runner, spoil):
        self.runner, self.spoil, self.seen = runner, spoil, set()

    def infer(self, inputs):
        self.seen.add(len(inputs["x"]))
        assert len(inputs["x"]) <= 64
        found = self.runner.infer(inputs)
        return {name: self.spoil(value.copy()) for name, value in found.items()}

    def close(self):
        self.runner.close()


class Backend:
    name = "tensorrt"
    layers_cost_a_build = True

    def __init__(self, plain, spoil):
        self.plain, self.spoil, self.loaded, self.compared = plain, spoil, None, 0

    def load(self, path, config, *, trust=False):
        self.loaded = Engine(self.plain.load(path, config), self.spoil)
        return self.loaded

    def compare_layers(self, folder, record, source):
        self.compared += 1
        return self.plain.compare_layers(folder, record, source)


@pytest.fixture
def judged(engine, bundle, plain_backend, monkeypatch):
    """Validates the engine as TensorRT's would be, with its answers spoilt and with a typed graph of its own."""
    plain = backends.find("onnxruntime")

    def run(spoil=lambda values: values, typed=None, config=None, layers=None):
        if typed is None:
            shutil.copy(bundle / bundles.MODEL, engine / "typed.onnx")
        else:
            onnx.save(typed, str(engine / "typed.onnx"))
        record = files.read_json(engine / ENGINE)
        record["files"]["typed.onnx"] = files.sha256(engine / "typed.onnx")
        record["backend"] = "tensorrt"
        files.write_json(engine / ENGINE, record)
        backend = Backend(plain, spoil)
        monkeypatch.setattr(backends, "find", lambda name: backend)
        return validate_engine(engine, bundle, config or ValidateConfig(), layers=layers), backend

    return run


def rows(found):
    return {(row.name, row.against): row.agreement for row in found.runtimes}


def test_all_runtimes_and_batches_of_a_faithful_engine(judged, engine):
    found, backend = judged()
    assert list(rows(found)) == [
        ("ONNX Runtime, model.onnx", "PyTorch"), ("ONNX Runtime, typed.onnx", "PyTorch"), ("TensorRT", "PyTorch"),
        ("TensorRT", "ONNX Runtime, typed.onnx"),
    ]
    assert all(row.predictions == 1 for row in rows(found).values())
    assert [(row.batch, row.steady, row.agreement.samples) for row in found.batches] == [
        (1, True, 40), (8, True, 40), (64, True, 64),  # 40 samples fill one batch of 64 from the start again
    ]
    assert backend.loaded.seen == {1, 8, 64, 6}  # 150 samples leave 6 for the last batch
    assert found.findings == []
    written = files.read_json(engine / "validate" / "validation.json")
    assert ValidationRecord.model_validate(written) == found


def test_an_engine_that_alone_is_wrong_is_named(judged):
    found, backend = judged(lambda values: values + 3 * np.arange(10, dtype=np.float32))
    assert rows(found)["ONNX Runtime, typed.onnx", "PyTorch"].predictions == 1
    assert rows(found)["TensorRT", "ONNX Runtime, typed.onnx"].predictions < 0.5
    assert "ONNX Runtime agrees with PyTorch on the same graph, TensorRT doesn't" in found.findings[0]
    assert "--layers" in found.findings[-1]
    assert (backend.compared, found.layers) == (0, [])


def test_a_network_that_came_as_a_file_is_called_by_the_files_name(judged, bundle, engine):
    content = files.read_json(bundle / bundles.MANIFEST)
    alike = Agreement(predictions=1, snr_db=None, samples=1)
    content["source"] = bundles.Source(
        file="given.onnx", sha256="0", producer="", runtime="", targets="given", inputs="file", notes=[],
        agreement=alike,
    ).model_dump()
    arrays = files.load_npz(bundle / bundles.REFERENCE)
    arrays["outputs/logits"] = -arrays["outputs/logits"]
    files.save_npz(bundle / bundles.REFERENCE, arrays)
    files.write_json(bundle / bundles.MANIFEST, content)
    _rehash(bundle, engine)
    found, _ = judged()
    assert found.reference == "given.onnx"
    assert ("TensorRT", "given.onnx") in rows(found)
    assert "parts from given.onnx on the bundle's graph too" in found.findings[0]
    assert "begins at the conversion" in found.findings[0]
    assert "PyTorch" not in found.model_dump_json()


def test_layers_are_compared_where_they_are_asked_for(judged):
    found, backend = judged(lambda values: -values, layers=True)
    assert backend.compared == 1
    assert len(found.layers) == 3
    assert not any("--layers" in text for text in found.findings)


def test_a_typed_graph_that_is_wrong_is_not_the_engines_fault(judged, network):
    wrong = type(network)(network.first, -network.second, network.scales).onnx()
    found, _ = judged(lambda values: -values, typed=wrong)
    assert rows(found)["ONNX Runtime, model.onnx", "PyTorch"].predictions == 1
    assert rows(found)["TensorRT", "ONNX Runtime, typed.onnx"].predictions == 1
    assert "begins where types were chosen" in found.findings[0]


def test_an_export_that_is_wrong_is_neithers(judged, bundle, engine):
    arrays = files.load_npz(bundle / bundles.REFERENCE)
    arrays["outputs/logits"] = -arrays["outputs/logits"]
    files.save_npz(bundle / bundles.REFERENCE, arrays)
    _rehash(bundle, engine)
    found, _ = judged()
    assert "begins at the export" in found.findings[0]


def _rehash(bundle, engine):
    content = files.read_json(bundle / bundles.MANIFEST)
    content["files"] = files.hashes(bundle, content["files"])
    files.write_json(bundle / bundles.MANIFEST, content)
    record = files.read_json(engine / ENGINE)
    record["bundle_digest"] = files.sha256(bundle / bundles.MANIFEST)
    files.write_json(engine / ENGINE, record)


def test_a_graph_that_onnx_runtime_cannot_run_leaves_a_reason(judged, network):
    typed = network.onnx()
    typed.graph.node[-1].domain = "nowhere"
    typed.opset_import.append(onnx.helper.make_opsetid("nowhere", 1))
    found, _ = judged(lambda values: -values, typed=typed)
    row = next(row for row in found.runtimes if row.name == "ONNX Runtime, typed.onnx")
    assert row.agreement is None
    assert "ONNX Runtime can't run it on a CPU" in row.reason
    assert ("TensorRT", "ONNX Runtime, model.onnx") in rows(found)  # the next best
    assert "is not known" in found.findings[0]


@pytest.mark.parametrize("batch", [1, 64])
def test_a_fault_of_one_batch_size_is_seen_and_the_gates_are_held_to_it(judged, batch):
    found, _ = judged(lambda values: -values if len(values) == batch else values)
    assert found.agreement.predictions == 1
    assert {row.batch: row.steady for row in found.batches} == {1: batch != 1, 8: True, 64: batch != 64}
    assert f"In batches of {batch} the engine answers otherwise" in found.findings[0]
    gates = {gate.name: gate for gate in found.gates}
    assert gates["min_agreement"].met is False
    assert gates["min_agreement"].value < 0.5


def test_a_fault_in_the_last_places_of_a_batch_is_seen_though_there_are_fewer_samples(judged):
    def spoil(values):
        values[60:] *= -1
        return values

    found, _ = judged(spoil)
    assert {row.batch: row.steady for row in found.batches} == {1: True, 8: True, 64: False}


def test_noise_is_no_difference(judged, bundle, engine):
    content = files.read_json(bundle / bundles.MANIFEST)
    content["noise_floor"] = Agreement(predictions=1, snr_db=40.0, samples=40).model_dump()
    files.write_json(bundle / bundles.MANIFEST, content)
    _rehash(bundle, engine)
    noise = np.random.default_rng(0)

    def spoil(values):
        return values + np.float32(2e-3) * noise.standard_normal(values.shape).astype(np.float32)

    found, _ = judged(spoil)
    assert 40 < found.batches[0].same.snr_db < 60
    assert all(row.steady for row in found.batches)
    assert found.findings == []


@pytest.mark.parametrize(("floor", "steady"), [(20.0, True), (60.0, False)])
def test_batches_may_differ_as_far_as_pytorch_does_from_itself_under_noise(judged, bundle, engine, floor, steady):
    content = files.read_json(bundle / bundles.MANIFEST)
    content["noise_floor"] = Agreement(predictions=1, snr_db=floor, samples=40).model_dump()
    files.write_json(bundle / bundles.MANIFEST, content)
    _rehash(bundle, engine)
    noise = np.random.default_rng(0)

    def spoil(values):
        return values + np.float32(0.03 * (len(values) == 64)) * noise.standard_normal(values.shape).astype(np.float32)

    found, _ = judged(spoil)
    assert 10 < found.batches[-1].same.snr_db < 30
    assert [row.steady for row in found.batches] == [True, True, steady]


def test_nan_in_the_samples_is_refused_by_its_place(judged, bundle, engine):
    arrays = files.load_npz(bundle / bundles.EVAL)
    arrays["inputs/x"][7, 3] = np.nan
    files.save_npz(bundle / bundles.EVAL, arrays)
    _rehash(bundle, engine)
    with pytest.raises(UserError, match=r"eval\.npz: The input 'x' holds NaN in sample 7"):
        judged()


def test_an_engine_of_onnx_runtime_is_judged_as_before(engine, bundle, plain_backend):
    found = validate_engine(engine, bundle, ValidateConfig())
    assert (found.runtimes, found.batches, found.findings) == ([], [], [])
    assert len(found.layers) == 3
