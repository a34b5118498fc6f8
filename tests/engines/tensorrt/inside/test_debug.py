"""Layers compared by debug tensors, on engines that are wrong in a known place."""


import onnx
import pytest

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines.config import TensorRTConfig
from twofour.engines.cuda.api import CudaError
from twofour.engines.records import ENGINE, read_engine
from twofour.engines.tensorrt.build import build_engine
from twofour.engines.tensorrt.debug import compare_layers

FIRST, SECOND = "fc1.input_quantizer", "fc2.input_quantizer"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "engines" / "tensorrt-gpu"


@pytest.fixture
def compare(gpu, trt_bundle, folder):
    def run(change=lambda folder: None, **options):
        options = {"rest": "fp32", "timing_cache": "off", **options}
        build_engine(bundles.read(trt_bundle), TensorRTConfig(**options), folder)
        change(folder)
        return compare_layers(folder, read_engine(folder), bundles.read(trt_bundle))

    return run


def retyped(folder, change):
    """Change the graph that TensorRT gets."""
    model = onnx.load(str(folder / "typed.onnx"))
    change(model.graph)
    onnx.save(model, str(folder / "typed.onnx"))
    record = files.read_json(folder / ENGINE)
    record["files"] = files.hashes(folder, record["files"])
    files.write_json(folder / ENGINE, record)


def test_a_faithful_engine_has_the_same_codes_at_every_quantizer(compare, trt, folder):
    found = compare()
    assert [row.tensor for row in found] == [FIRST, SECOND, "logits"]
    assert all((row.fed, row.snr_db) == (False, None) for row in found)
    assert [row.codes_differ for row in found] == [0, 0, None]
    assert all(row.chained_snr_db is None or row.chained_snr_db > 100 for row in found)
    assert trt.double.builds[-1]["debug"] == [f"{FIRST}/codes", f"{SECOND}/codes"]
    assert not trt.double.builds[0]["debug"]  # the engine that is shipped has none
    assert sorted(path.name for path in folder.iterdir()) == [
        "build.log", "engine.json", "engine.plan", "layers.json", "typed.onnx"]


@pytest.mark.parametrize("rest", ["fp16", "bf16"])
def test_narrower_scales_still_give_the_codes(compare, rest):
    found = compare(rest=rest)
    assert [row.tensor for row in found] == [FIRST, SECOND, "logits"]
    assert found[0].codes_differ < 0.02
    assert found[1].chained_snr_db is None or found[1].chained_snr_db > 25


def test_the_layer_that_is_wrong_is_the_first_with_a_difference(compare):
    def change(graph):
        node = next(node for node in graph.node if node.op_type == "Relu")
        node.op_type = "Abs"  # between the two quantizers

    found = compare(lambda folder: retyped(folder, change))
    assert found[0].codes_differ == 0
    assert found[1].codes_differ > 0.1
    assert found[1].chained_snr_db < 20
    assert found[2].chained_snr_db < 20


@pytest.mark.parametrize("options", [
    {"min_batch": 6, "opt_batch": 8, "max_batch": 8}, {"min_batch": 1, "opt_batch": 3, "max_batch": 3}])
def test_recorded_samples_that_are_fewer_or_more_than_a_batch(compare, options):
    found = compare(**options)
    assert [row.codes_differ for row in found] == [0, 0, None]


def test_a_quantizer_that_is_not_shown_is_left_out_and_said(compare, trt, monkeypatch, capsys):
    mark = trt.INetworkDefinition.mark_debug
    monkeypatch.setattr(trt.INetworkDefinition, "mark_debug",
                        lambda self, tensor: not tensor.name.startswith("fc1") and mark(self, tensor))
    found = compare()
    assert [row.tensor for row in found] == [SECOND, "logits"]
    assert "TensorRT shows 1 of 2 quantizers" in capsys.readouterr().err


def test_a_bundle_without_recorded_layers_needs_no_build(compare, trt, trt_bundle):
    content = files.read_json(trt_bundle / bundles.MANIFEST)
    del content["files"][bundles.LAYERS]
    files.write_json(trt_bundle / bundles.MANIFEST, content)
    assert compare() == []
    assert len(trt.double.builds) == 1


def test_an_engine_folder_without_its_graph_is_refused(compare, folder):
    def change(folder):
        record = files.read_json(folder / ENGINE)
        del record["files"]["typed.onnx"]
        files.write_json(folder / ENGINE, record)

    with pytest.raises(UserError, match=r"holds no typed\.onnx"):
        compare(change)


def test_values_of_another_shape_are_refused(compare, trt_bundle):
    arrays = files.load_npz(trt_bundle / bundles.LAYERS)
    arrays[f"tensors/{SECOND}"] = arrays[f"tensors/{SECOND}"][:, :-1]
    files.save_npz(trt_bundle / bundles.LAYERS, arrays)
    content = files.read_json(trt_bundle / bundles.MANIFEST)
    content["files"] = files.hashes(trt_bundle, content["files"])
    files.write_json(trt_bundle / bundles.MANIFEST, content)
    with pytest.raises(UserError, match=r"recorded with shape \(4, 95\), the engine makes \(4, 96\)"):
        compare()


def test_an_error_while_a_tensor_is_copied_is_raised_and_all_is_given_back(compare, cuda, monkeypatch):
    from twofour.engines.tensorrt import debug

    def fails(*args):
        raise CudaError("the copy failed")

    monkeypatch.setattr(debug, "download", fails)
    with pytest.raises(CudaError, match="the copy failed"):
        compare()
    assert not cuda.alive()
