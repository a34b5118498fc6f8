from __future__ import annotations

from rich.console import Console

from twofour.common.bundle import Agreement
from twofour.engines.config import ValidateConfig
from twofour.engines.records import BatchAgreement, LayerDifference, RuntimeAgreement, ValidationRecord
from twofour.pipeline.tables import validation_table


def agreement(predictions, snr_db=40.0):
    return Agreement(predictions=predictions, snr_db=snr_db, samples=64)


def shown(**parts):
    record = ValidationRecord(
        backend="tensorrt", options=ValidateConfig(), samples=150, gates=[],
        **{"layers": [], "agreement": agreement(1), "noise_floor": agreement(1), "metric": "accuracy", "value": 0.9,
           "pytorch_value": 0.9, "dense_value": None, **parts},
    )
    console = Console(width=160, file=None, record=True, quiet=False)
    with console.capture() as capture:
        console.print(validation_table(record))
    return capture.get()


def test_runtimes_batches_and_findings():
    exact = agreement(0.998, None)
    text = shown(
        runtimes=[RuntimeAgreement(name="ONNX Runtime, model.onnx", against="PyTorch", agreement=exact),
                  RuntimeAgreement(name="ONNX Runtime, typed.onnx", against="PyTorch", agreement=None,
                                   reason="no bfloat16 [Add] here")],
        batches=[BatchAgreement(batch=8, agreement=agreement(1), same=agreement(1, None), steady=True),
                 BatchAgreement(batch=64, agreement=agreement(0.25, -2.0), same=agreement(0.25, -2.0), steady=False)],
        findings=["In batches of 64 the engine answers otherwise."],
    )
    lines = {line.split("│")[1].strip(): line for line in text.splitlines() if line.count("│") > 2}
    assert "99.80 %" in lines["ONNX Runtime, model.onnx"]
    assert "bit for bit" in lines["ONNX Runtime, model.onnx"]
    assert "not run" in lines["ONNX Runtime, typed.onnx"]
    assert "no bfloat16 [Add] here" in lines["ONNX Runtime, typed.onnx"]  # brackets are no markup
    assert "within roundings" in lines["8"]
    assert "PARTS" in lines["64"]
    assert "25.00 %" in lines["64"]
    assert "In batches of 64 the engine answers otherwise." in text


def test_parts_that_were_not_measured_are_not_shown():
    text = shown()
    for title in ("several runtimes", "range of batches", "where they part"):
        assert title not in text


def test_a_layer_that_could_not_be_fed_alone_shows_no_figure_for_it():
    layers = [LayerDifference(tensor="a", snr_db=None, codes_differ=0.5, chained_snr_db=12.0, fed=False),
              LayerDifference(tensor="b", snr_db=None, codes_differ=0.0, chained_snr_db=None)]
    rows = [line for line in shown(layers=layers).splitlines() if "│ a " in line or "│ b " in line]
    assert rows[0].count("bit for bit") == 0
    assert "12.0 dB" in rows[0]
    assert rows[1].count("bit for bit") == 2


def test_pictures_are_said_by_their_likeness():
    alike = Agreement(snr_db=40.0, samples=64, ssim=0.9834, psnr_db=31.24)
    text = shown(
        agreement=alike, noise_floor=alike, metric="ssim", value=0.95123, pytorch_value=0.952, dense_value=0.96,
        feature_distances={"engine": 3.214, "pytorch": 3.2},
        runtimes=[RuntimeAgreement(name="ONNX Runtime, model.onnx", against="PyTorch", agreement=alike)],
    )
    for said in ("0.951 (PyTorch 0.952)", "SSIM 0.983, PSNR 31.2 dB, 40.0 dB", "engine 3.21, pytorch 3.2",
                 "0.983, 31.2 dB"):
        assert said in text
    assert "prediction" not in text
    assert "%" not in text
