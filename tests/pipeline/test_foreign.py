"""`twofour run model.onnx`: a network that was quantized elsewhere, from its file to its report."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from onnx import helper
from pydantic import BaseModel
from sklearn.datasets import load_digits

from twofour.common import bundle
from twofour.common.errors import UserError
from twofour.pipeline.job import do
from twofour.pipeline.onnx_recipe import OnnxRecipe
from twofour.pipeline.run import open_run, run

FAST = ["profile.seconds=0.05", "profile.batch=[1]"]


def pixels():
    found = load_digits()
    return (found.data / 8 - 1).astype(np.float32), found.target


def network(batch="n", zero=128, kind=np.uint8, sparse=True):
    """Least squares on the digits, 2:4 along the pixels, with Q/DQ as ONNX Runtime's quantizer writes them."""
    x, target = pixels()
    weight = np.linalg.lstsq(np.c_[x, np.ones(len(x))], np.eye(10)[target], rcond=None)[0][:64].T.astype(np.float32)
    weight = np.pad(weight, ((0, 6), (0, 0)))
    if sparse:
        groups = weight.reshape(16, 16, 4)
        groups[np.argsort(np.abs(groups), -1).argsort(-1) < 2] = 0
    scale = np.maximum(np.abs(weight).max(1) / 127, 1e-3).astype(np.float32)
    constants = {"s": np.float32(1 / 127), "z": kind(zero), "w": np.rint(weight / scale[:, None]).astype(np.int8),
                 "ws": scale, "b": np.full(16, 3, np.int32), "bs": scale / 127,
                 "o": np.array([0], np.int64), "e": np.array([10], np.int64), "a": np.array([1], np.int64)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
             helper.make_node("DequantizeLinear", ["b", "bs"], ["bd"], axis=0),
             helper.make_node("Gemm", ["d", "wd", "bd"], ["g"], "fc", transB=1),
             helper.make_node("Slice", ["g", "o", "e", "a"], ["scores"])]
    graph = helper.make_graph(
        nodes, "digits", [helper.make_tensor_value_info("x", 1, [batch, 64])],
        [helper.make_tensor_value_info("scores", 1, [batch, 10])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, producer_name="somebody", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "digits model.onnx"
    onnx.save(network(), path)
    return path


def plain(path, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options).run(None, {"x": x})[0]


def test_a_file_with_inputs_and_targets_runs_to_the_report(file, tmp_path, capsys):
    x, target = pixels()
    np.savez(tmp_path / "inputs.npz", x=x[:300], targets=target[:300])
    do(file, tmp_path / "run", FAST, None, True, tmp_path / "inputs.npz")
    summary = json.loads(capsys.readouterr().out)
    made = bundle.read(tmp_path / "run/bundle")
    manifest, source = made.manifest, made.manifest.source
    assert manifest.name == "digits-model"
    assert (source.file, source.producer, source.targets, source.inputs) == (file.name, "somebody", "given", "file")
    assert source.agreement.snr_db is None
    assert "onnxruntime" in source.runtime
    answers = plain(file, x[:300])
    assert manifest.metric == "accuracy"
    assert manifest.eval_metric == pytest.approx(np.mean(answers.argmax(1) == target[:300]))
    assert manifest.eval_metric > 0.2  # far from chance
    asked, answered = made.arrays(bundle.REFERENCE, "inputs")["x"], made.arrays(bundle.REFERENCE, "outputs")["scores"]
    np.testing.assert_array_equal(answered, plain(file, asked))
    np.testing.assert_array_equal(answered, plain(made.model, asked))
    assert [(layer.name, layer.sparse) for layer in manifest.layers] == [("fc", True)]
    assert {entry.tensor for entry in manifest.ranges} == {"fc.input_quantizer", "fc.weight_quantizer"}
    engine = summary["engines"]["onnxruntime-cpu"]
    assert engine["two_four_share"] == 1
    assert engine["validation"]["reference"] == file.name
    assert engine["validation"]["agreement"]["predictions"] == 1
    assert [gate["name"] for gate in engine["validation_gates"]] == ["max_drop_from_source", "min_agreement"]
    report = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "PyTorch" not in report
    assert f"Same answers as {file.name}?" in report
    assert f"INT8, {file.name}" in report  # where the accuracy starts from
    assert "twofour calibrate" not in report  # there is nothing to calibrate


def test_a_file_alone_is_compared_with_its_own_answers_to_random_inputs(file, tmp_path, capsys):
    do(file, tmp_path / "run", FAST, None, True)
    said = capsys.readouterr()
    assert "no inputs were given" in said.err
    manifest = bundle.read(tmp_path / "run/bundle").manifest
    assert (manifest.metric, manifest.eval_metric) == ("agreement_with_source", 1)
    assert (manifest.source.targets, manifest.source.inputs) == ("source", "random")
    engine = json.loads(said.out)["engines"]["onnxruntime-cpu"]
    assert engine["validation"]["metric"] == "agreement_with_source"
    assert [gate["name"] for gate in engine["validation_gates"]] == ["min_agreement"]
    report = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "agreement_with_source" not in report.split("<pre")[0]
    assert "Is the accuracy kept?" not in report
    assert "Agreement with the file, stage by stage" in report
    do(tmp_path / "run", None, [], None, True)
    again = capsys.readouterr()
    assert again.err.count("unchanged, kept") == 4


def test_a_change_of_the_file_or_of_the_inputs_makes_the_bundle_anew(file, tmp_path):
    done = run(*open_run(file, tmp_path / "run", []), "export").done["export"]
    assert run(*open_run(file, tmp_path / "run", []), "export").done["export"].key == done.key
    assert run(*open_run(file, tmp_path / "run", ["seed=1"]), "export").done["export"].key != done.key
    onnx.save(network(sparse=False), file)
    assert run(*open_run(file, tmp_path / "run", []), "export").done["export"].key != done.key
    assert not bundle.read(tmp_path / "run/bundle").manifest.layers[0].sparse


def test_a_change_of_the_file_with_its_weights_makes_the_bundle_anew(file, tmp_path):
    onnx.save(network(), file, save_as_external_data=True, location="weights.bin", size_threshold=500)
    data = file.with_name("weights.bin")
    done = run(*open_run(file, tmp_path / "run", []), "export").done["export"]
    assert run(*open_run(file, tmp_path / "run", []), "export").done["export"].key == done.key
    content = bytearray(data.read_bytes())
    content[onnx_offset(file, "w")] ^= 1
    data.write_bytes(content)
    assert run(*open_run(file, tmp_path / "run", []), "export").done["export"].key != done.key
    data.unlink()
    with pytest.raises(UserError, match=r"'weights\.bin' with the weight .* is missing"):
        run(*open_run(file, tmp_path / "run", []), "export")


def onnx_offset(path, name):
    """Where a weight starts in its data file."""
    tensors = {tensor.name: tensor for tensor in onnx.load(path, load_external_data=False).graph.initializer}
    return int({entry.key: entry.value for entry in tensors[name].external_data}["offset"])


def test_a_file_of_a_fixed_batch_is_asked_in_that_batch(tmp_path):
    path = tmp_path / "fixed.onnx"
    onnx.save(network(batch=4), path)
    np.savez(tmp_path / "inputs.npz", x=pixels()[0][:10])
    do(path, tmp_path / "run", ["profile.seconds=0.05"], None, True, tmp_path / "inputs.npz")
    made = bundle.read(tmp_path / "run/bundle")
    assert len(made.arrays(bundle.REFERENCE, "inputs")["x"]) == 10
    assert yaml.safe_load((tmp_path / "run/recipe.yaml").read_text())["profile"]["batch"] == [4]


def test_a_recipe_names_the_file_and_the_data(file, tmp_path, monkeypatch):
    (tmp_path / "flat.py").write_text(
        "from twofour.training.data import digits\n"
        "from twofour.training.loaders import Loaders\n"
        "def load():\n"
        "    val = [(x.flatten(1), y) for x, y in digits(size=8).val]\n"
        "    return Loaders(val, val, val)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({
        "name": "job", "model": {"onnx": str(file)}, "data": {"factory": "flat:load"}, "training": [],
        "export": {"eval_samples": 100, "reference_samples": 20},
    }))
    run(*open_run(recipe, tmp_path / "run", []), "export")
    manifest = bundle.read(tmp_path / "run/bundle").manifest
    assert (manifest.source.inputs, manifest.source.targets, manifest.metric) == ("data", "given", "accuracy")
    assert manifest.noise_floor.samples == 20


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"training": [{"stage": "qat"}]}, "is not trained or calibrated"),
        ({"calibrate": {"method": "max"}}, "is not trained or calibrated"),
        ({"model": {"onnx": "FILE", "factory": "a:b"}}, "factory"),
        ({"expotr": {}}, "Did you mean 'export'"),
        ({"validate": {"max_drop": 0.1}}, "without targets"),
        ({"model": {"onnx": "missing.onnx"}}, "is missing"),
        ({"engines": [{"backend": "onnxruntime"}] * 2}, "listed once"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(file, tmp_path, content, said):
    base = {"name": "job", "model": {"onnx": str(file)}}
    text = yaml.safe_dump(base | content).replace("FILE", str(file))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(UserError, match=said):
        open_run(recipe, tmp_path / "run", [])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y": np.zeros((4, 64), np.float32)}, "takes the inputs"),
        ({"x": np.zeros((4, 63), np.float32)}, "has shape"),
        ({"x": np.zeros((4, 64), np.int64)}, "int64"),
        ({"x": np.zeros((0, 64), np.float32)}, "none"),
        ({"x": np.zeros((4, 64), np.float32), "targets": np.zeros((4, 3))}, "classes of shape"),
        ({"x": np.full((4, 64), np.nan, np.float32)}, "NaN"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_and_nothing_is_written(file, tmp_path, arrays, said):
    np.savez(tmp_path / "inputs.npz", **arrays)
    with pytest.raises(UserError, match=said):
        run(*open_run(file, tmp_path / "run", [], tmp_path / "inputs.npz"), "export")
    assert not (tmp_path / "run/bundle/bundle.json").exists()


def test_inputs_belong_to_onnx_files_only(tmp_path):
    with pytest.raises(UserError, match="--inputs is for"):
        open_run(
            ready(tmp_path), None, [], tmp_path / "inputs.npz"
        )


def ready(folder):
    path = folder / "recipe.yaml"
    path.write_text("name: a\nmodel: {factory: 'a:b'}\ndata: {factory: 'a:b'}\n")
    return path


def test_weights_that_come_as_an_input_are_said_to_be_no_samples(tmp_path):
    constants = {"s": np.float32(0.05), "z": np.int8(0)}
    pairs = [helper.make_node(kind, [given, "s", "z"], [made]) for kind, given, made in (
        ("QuantizeLinear", "x", "xq"), ("DequantizeLinear", "xq", "xd"), ("QuantizeLinear", "w", "wq"),
        ("DequantizeLinear", "wq", "wd"))]
    graph = helper.make_graph(
        [*pairs, helper.make_node("MatMul", ["xd", "wd"], ["y"], "fc")], "dynamic",
        [helper.make_tensor_value_info(name, 1, [64, 64]) for name in ("x", "w")],
        [helper.make_tensor_value_info("y", 1, [64, 64])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    with pytest.raises(UserError, match="weights that come as an input"):
        run(*open_run(path, tmp_path / "run", []), "export")
    assert not (tmp_path / "run/bundle" / bundle.MANIFEST).exists()


def test_there_is_nothing_to_train(file, tmp_path):
    for until in ("train", "calibrate"):
        with pytest.raises(UserError, match=f"nothing to {until}"):
            run(*open_run(file, tmp_path / "run", []), until)


def test_what_cannot_be_converted_ends_the_command_with_one_paragraph(tmp_path):
    path = tmp_path / "asymmetric.onnx"
    onnx.save(network(zero=3), path)
    command = [sys.executable, "-m", "twofour", "run", str(path), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "asymmetric activations" in done.stderr
    assert "ActivationSymmetric=True" in done.stderr


def test_every_key_of_such_a_recipe_is_documented():
    from pathlib import Path

    from twofour.pipeline.complaints import inner_documents

    text = (Path(__file__).parents[2] / "docs/foreign.md").read_text()
    kinds: list[type[BaseModel]] = [OnnxRecipe]
    kinds += [kind for name in ("model", "export") for kind in
              inner_documents(OnnxRecipe.model_fields[name].annotation).values()]
    for kind in kinds:
        for name, field in kind.model_fields.items():
            assert f"`{field.alias or name}`" in text, name
