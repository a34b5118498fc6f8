"""What the report says of an engine that was judged three ways."""

from __future__ import annotations

import json

import pytest

from twofour.common.bundle import Agreement
from twofour.engines.records import BatchAgreement, LayerDifference, RuntimeAgreement, ValidationRecord
from twofour.pipeline.report import engine_charts
from twofour.pipeline.report.write import write_report


@pytest.fixture
def change(finished):
    """Changes the validation of a finished run and gives the report's text."""

    def run(**parts):
        path = finished / "engines/onnxruntime-cpu/validate/validation.json"
        record = ValidationRecord.model_validate(json.loads(path.read_text())).model_copy(update=parts)
        path.write_text(json.dumps(record.model_dump(mode="json")))
        write_report(finished)
        return (finished / "report.html").read_text(encoding="utf-8")

    return run


def found(predictions, snr_db=40.0):
    return Agreement(predictions=predictions, snr_db=snr_db, samples=64)


def test_runtimes_batches_and_findings(change):
    text = change(
        runtimes=[RuntimeAgreement(name="ONNX Runtime", against="PyTorch", agreement=None, reason="<no> way"),
                  RuntimeAgreement(name="TensorRT", against="PyTorch", agreement=found(0.1234))],
        batches=[BatchAgreement(batch=64, agreement=found(0.5), same=found(0.5, -3.0), steady=False)],
        findings=["In batches of 64 the engine answers otherwise."], layers=[],
    )
    assert "&lt;no&gt; way" in text
    assert "12.34" in text
    assert "Over the range of batches" in text
    assert "<strong>In batches of 64 the engine answers otherwise.</strong>" in text
    assert "twofour validate --layers" in text


def test_nothing_of_it_for_an_engine_that_was_not(change):
    text = change()
    assert "Over the range of batches" not in text
    assert "Whose difference" not in text


def test_layers_that_could_not_be_fed_alone_have_one_curve(change):
    layers = [LayerDifference(tensor=name, snr_db=None, codes_differ=0.1, chained_snr_db=db, fed=False)
              for name, db in (("a", 30.0), ("b", 12.5), ("c", None))]
    text = change(layers=layers)
    assert "fed by the engine itself" in text
    assert "fed the values of PyTorch" not in text
    assert "when the engine feeds itself; the least is 12.5" in text.replace("\u00a0", " ")
    assert engine_charts._depth(layers, chained=False, exact=99) == []


def test_every_text_names_the_reference_and_no_name_becomes_markup(change, finished):
    name = "<b>other</b>.onnx"
    parts = {"reference": name, "dense_value": None,
             "batches": [BatchAgreement(batch=64, agreement=found(0.5), same=found(0.5, -3.0), steady=False)],
             "runtimes": [RuntimeAgreement(name="TensorRT", against=name, agreement=found(0.1234))]}
    assert "PyTorch" in change()
    text = change(**parts)
    assert "PyTorch" not in text
    assert name not in text
    shown = text.replace("&lt;b&gt;other&lt;/b&gt;.onnx", "FILE")
    for said in ("Same answers as FILE?", "under noise of 1e-5 FILE against itself", "points against FILE",
                 "Engine against FILE", "FILE, as it was given, on ONNX Runtime", "agrees with FILE and the engine",
                 "Same class as FILE", "fed the values of FILE", "Signal to noise against FILE"):
        assert said in shown or said[0].upper() + said[1:] in shown, said
