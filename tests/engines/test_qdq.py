from __future__ import annotations

import onnx_ir as ir

from twofour.engines.qdq import count


def test_pairs_of_weights_and_of_activations(network):
    assert count(ir.from_proto(network.onnx())).model_dump() == {
        "quantize": 2, "dequantize": 4, "weights": 2, "activations": 2,
    }
    assert count(ir.from_proto(network.onnx(quantized=False))).dequantize == 0
