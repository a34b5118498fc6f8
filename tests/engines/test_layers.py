from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from twofour.common import bundle as bundles
from twofour.common import files
from twofour.common.errors import UserError
from twofour.engines.config import OnnxRuntimeConfig
from twofour.engines.layers import compare_layers

ONE = OnnxRuntimeConfig(threads=1)


def compare(tmp_path, model, bundle):
    onnx.save(model, str(tmp_path / "e.onnx"))
    return {one.tensor: one for one in compare_layers(tmp_path / "e.onnx", bundles.read(bundle), ONE)}


def test_a_faithful_engine_has_the_same_codes_everywhere(tmp_path, network, bundle, plain_backend):
    found = compare(tmp_path, network.onnx(), bundle)
    assert list(found) == ["fc1.input_quantizer", "fc2.input_quantizer", "logits"]
    assert found["fc1.input_quantizer"].codes_differ == 0
    assert found["fc1.input_quantizer"].snr_db is None
    assert found["fc2.input_quantizer"].codes_differ < 0.005
    assert found["logits"].codes_differ is None
    assert found["logits"].snr_db is None or found["logits"].snr_db > 100


def test_a_fault_shows_at_its_own_layer_only_but_travels_down_the_chain(tmp_path, network, bundle, plain_backend):
    model = network.onnx()
    replace(model, "fc1.weight_quantizer/scale", lambda scale: np.where(np.arange(96) < 8, 1.5 * scale, scale))
    found = compare(tmp_path, model, bundle)
    assert found["fc1.input_quantizer"].snr_db is None
    assert found["fc2.input_quantizer"].codes_differ > 0.02
    assert found["fc2.input_quantizer"].snr_db < 30
    assert found["logits"].snr_db is None or found["logits"].snr_db > 100
    assert found["logits"].chained_snr_db < 30


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, 0), (np.uint8, 128)])
def test_codes_are_compared_by_value(tmp_path, network, bundle, plain_backend, dtype, zero_point):
    model = network.onnx(dtype=dtype)
    for name in ("fc1.input_quantizer", "fc2.input_quantizer"):
        replace(model, f"{name}/zero_point", lambda _: dtype(zero_point))
    found = compare(tmp_path, model, bundle)
    assert found["fc1.input_quantizer"].codes_differ == 0
    assert found["fc2.input_quantizer"].codes_differ < 0.3  # 16-bit sums of pairs saturate on some processors


def test_signed_values_stored_as_unsigned_are_found_out(tmp_path, network, bundle, plain_backend):
    recorded = files.load_npz(bundle / bundles.LAYERS)
    recorded["tensors/fc2.input_quantizer"] = -recorded["tensors/fc2.input_quantizer"]
    files.save_npz(bundle / bundles.LAYERS, recorded)
    rehash(bundle)
    found = compare(tmp_path, network.onnx(), bundle)
    assert found["fc2.input_quantizer"].codes_differ > 0.2


def test_two_quantizers_that_read_one_q(tmp_path, network, bundle, plain_backend):
    model = network.onnx()
    second = helper.make_node(
        "DequantizeLinear", [f"fc2.input_quantizer/{end}" for end in ("codes", "scale", "zero_point")], ["twin"]
    )
    model.graph.node.append(second)
    recorded = files.load_npz(bundle / bundles.LAYERS)
    files.save_npz(bundle / bundles.LAYERS, recorded | {"tensors/twin": recorded["tensors/fc2.input_quantizer"]})
    rehash(bundle)
    found = compare(tmp_path, model, bundle)
    assert found["twin"].codes_differ == found["fc2.input_quantizer"].codes_differ < 0.005


def test_records_of_another_network_are_refused(tmp_path, network, bundle, plain_backend):
    recorded = files.load_npz(bundle / bundles.LAYERS)
    recorded["tensors/fc2.input_quantizer"] = recorded["tensors/fc2.input_quantizer"][:, :5]
    files.save_npz(bundle / bundles.LAYERS, recorded)
    rehash(bundle)
    with pytest.raises(UserError, match=r"layers\.npz"):
        compare(tmp_path, network.onnx(), bundle)


def test_without_records_there_is_nothing_to_compare(tmp_path, network, bundle, plain_backend):
    (bundle / bundles.LAYERS).unlink()
    rehash(bundle)
    assert compare(tmp_path, network.onnx(), bundle) == {}


def replace(model, name, change):
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    stored.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(stored)).astype(stored_dtype(stored)), name))


def stored_dtype(tensor):
    return numpy_helper.to_array(tensor).dtype


def rehash(bundle):
    content = files.read_json(bundle / bundles.MANIFEST)
    content["files"] = files.hashes(bundle, [name for name in content["files"] if (bundle / name).is_file()])
    files.write_json(bundle / bundles.MANIFEST, content)
