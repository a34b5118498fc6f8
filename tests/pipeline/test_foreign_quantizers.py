"""Files as other people's quantizers really write them: each becomes a bundle, an engine and a report, or is refused.

`quantized_elsewhere/` holds what `modelopt.onnx.quantization.quantize` of ModelOpt 0.47 made of a small network
(calibration_method "max"; its default, which leaves the rest in FP16, and `high_precision_dtype` "fp32" and "bf16").
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from twofour.common import bundle
from twofour.common.errors import UserError
from twofour.engines import literal
from twofour.pipeline.job import do
from twofour.pipeline.run import open_run, run

FILES = Path(__file__).parent / "quantized_elsewhere"
FAST = ["profile.seconds=0.05", "export.eval_samples=16"]
KINDS = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}


class Reader(CalibrationDataReader):
    def __init__(self, name, batches):
        self.rest = iter([{name: batch} for batch in batches])

    def get_next(self):
        return next(self.rest, None)


def small(path):
    """A convolution, one in groups, a residual add, a concat, a pool and a Gemm, in floats."""
    random = np.random.default_rng(0)
    shapes = {"a": (16, 3, 3, 3), "b": (16, 4, 3, 3), "f": (10, 32), "bias": (16,)}
    stored = [numpy_helper.from_array((random.standard_normal(shape) / 4).astype(np.float32), name)
              for name, shape in shapes.items()]
    nodes = [helper.make_node(*node[:3], name=node[2][0], **(node[3] if len(node) > 3 else {})) for node in [
        ("Conv", ["x", "a", "bias"], ["a1"], {"pads": [1] * 4}), ("Relu", ["a1"], ["a2"]),
        ("Conv", ["a2", "b"], ["b1"], {"pads": [1] * 4, "group": 4}), ("Add", ["a2", "b1"], ["sum"]),
        ("Concat", ["sum", "a2"], ["both"], {"axis": 1}), ("MaxPool", ["both"], ["p"], {"kernel_shape": [2, 2]}),
        ("GlobalAveragePool", ["p"], ["mean"]), ("Flatten", ["mean"], ["flat"]),
        ("Gemm", ["flat", "f"], ["y"], {"transB": 1}),
    ]]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])], stored,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def quantized(source, inputs, act="s8", weight="s8", symmetric=True, per_channel=False, reduced=False, qdq=True):
    """The file that ONNX Runtime's own quantizer makes of `source`, on `inputs` (name, samples)."""
    name, samples = inputs
    target = source.with_name("given.onnx")
    quantize_static(
        source, target, Reader(name, [samples]), quant_format=QuantFormat.QDQ if qdq else QuantFormat.QOperator,
        activation_type=KINDS[act], weight_type=KINDS[weight], per_channel=per_channel, reduce_range=reduced,
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": symmetric or weight == "s8"},
    )
    return target


def images(size=8, count=16, channels=3):
    return np.random.default_rng(1).standard_normal((count, channels, size, size)).astype(np.float32)


def whole(path, name, samples, capsys, *overrides, batch=1):
    """`twofour run FILE --inputs ...`: the manifest, and the figures of the engine."""
    folder = path.parent / "run"
    np.savez(path.parent / "inputs.npz", **{name: samples})
    do(path, folder, [*FAST, f"profile.batch=[{batch}]", *overrides], None, True, path.parent / "inputs.npz")
    assert (folder / "report.html").is_file()
    return bundle.read(folder / "bundle"), json.loads(capsys.readouterr().out)["engines"]["onnxruntime-cpu"]


SETTINGS = [
    {"act": act, "weight": weight, "symmetric": symmetric, "per_channel": per_channel, "reduced": reduced}
    for (act, weight), symmetric, per_channel, reduced in itertools.product(
        [("u8", "s8"), ("u8", "u8"), ("s8", "s8")], [True, False], [False, True], [False, True])
    if not reduced or (act, weight) == ("u8", "s8")
]
USUAL = [{"act": "s8", "per_channel": True}, {"act": "u8", "reduced": True}, {"act": "u8", "symmetric": False}]


def goes_through_or_is_refused(tmp_path, capsys, settings):
    path = quantized(small(tmp_path / "float.onnx"), ("x", images()), **settings)
    if settings.get("symmetric", True):
        made, engine = whole(path, "x", images(), capsys)
        assert made.manifest.source.agreement.snr_db is None
        assert engine["validation"]["agreement"]["predictions"] == 1
        assert engine["layers"] == 3
        return
    with pytest.raises(UserError, match="asymmetric activations") as refused:
        run(*open_run(path, tmp_path / "run", []), "export")
    assert "ActivationSymmetric=True" in refused.value.fix
    assert not (tmp_path / "run/bundle/bundle.json").exists()


@pytest.mark.parametrize("settings", USUAL, ids=str)
def test_what_onnx_runtimes_quantizer_writes(tmp_path, capsys, settings):
    goes_through_or_is_refused(tmp_path, capsys, settings)


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_usual_setting_of_onnx_runtimes_quantizer(tmp_path, capsys, settings):
    goes_through_or_is_refused(tmp_path, capsys, settings)


@pytest.mark.parametrize("symmetric", [True, False])
def test_integer_operators_are_refused_by_name(tmp_path, symmetric):
    path = quantized(small(tmp_path / "float.onnx"), ("x", images()), symmetric=symmetric, qdq=False)
    with pytest.raises(UserError, match=r"QOperator format.*QLinearConv") as refused:
        run(*open_run(path, tmp_path / "run", []), "export")
    assert "QuantFormat.QDQ" in refused.value.fix


@pytest.mark.parametrize(("kind", "exact"), [("fp32", True), ("fp16", False)])
def test_what_modelopts_onnx_quantizer_writes(tmp_path, capsys, kind, exact):
    path = tmp_path / "given.onnx"
    path.write_bytes((FILES / f"modelopt-0.47-{kind}.onnx").read_bytes())
    made, engine = whole(path, "x", images(16), capsys)
    source = made.manifest.source
    assert source.producer.startswith("onnx.quantize")
    assert (source.agreement.snr_db is None) is exact
    assert exact or source.agreement.snr_db > 50
    assert any("half precision" in note for note in source.notes) is not exact
    assert engine["layers"] == 4
    assert engine["validation"]["agreement"]["predictions"] == 1


def test_bf16_that_nothing_here_can_answer_for_is_refused_by_name(tmp_path):
    path = tmp_path / "given.onnx"
    path.write_bytes((FILES / "modelopt-0.47-bf16.onnx").read_bytes())
    with pytest.raises(UserError, match="computes in BF16") as refused:
        run(*open_run(path, tmp_path / "run", []), "export")
    assert "--high_precision_dtype" in refused.value.fix
    assert not (tmp_path / "run/bundle/bundle.json").exists()


def test_an_onnx_runtime_that_quantizes_fp16_wrongly_is_no_reference(tmp_path, monkeypatch):
    path = tmp_path / "given.onnx"
    path.write_bytes((FILES / "modelopt-0.47-fp16.onnx").read_bytes())
    monkeypatch.setattr(literal, "_quantizes_halves", lambda path: True)
    monkeypatch.setattr(literal, "_halves_are_right", lambda: False)
    with pytest.raises(UserError, match="quantizes FP16 tensors wrongly"):
        run(*open_run(path, tmp_path / "run", []), "export")


def test_a_detector_with_a_grid_of_anchors(tmp_path, load, capsys):
    samples = images(16)
    floats = load("pipeline/yolo_style.py").export(tmp_path / "float.onnx")
    path = quantized(floats, ("images", samples), act="u8", per_channel=True)
    made, _ = whole(path, "images", samples, capsys, "validate.min_agreement=0.5")
    assert made.manifest.source.agreement.snr_db is None
    recorded = made.arrays(bundle.LAYERS, "tensors")
    assert any(len(value) != 4 for value in recorded.values())  # the grid has no axis for the samples
    judged = json.loads((tmp_path / "run/engines/onnxruntime-cpu/validate/validation.json").read_text())
    layers = {layer["tensor"]: layer for layer in judged["layers"]}
    assert layers.keys() == {*recorded, "found"}
    inexact = [name for name, layer in layers.items() if layer["snr_db"] is not None]
    assert inexact in ([], ["/sum/Conv.input_quantizer"])  # ONNX Runtime's softmax on integers is its own


def test_layers_are_not_recorded_where_the_samples_do_not_fill_a_fixed_batch(tmp_path, capsys):
    path = small(tmp_path / "float.onnx")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 8
    onnx.save(model, path)
    path = quantized(path, ("x", images(count=8)))
    made, engine = whole(path, "x", images(count=3), capsys, batch=8)
    assert made.arrays(bundle.LAYERS, "tensors") == {}
    assert engine["validation"]["agreement"]["samples"] == 3
