from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from twofour.export.graph.naming import name_weighted_nodes


def test_modules_name_their_nodes(graphs: Any) -> None:
    weight = np.ones((4, 4), np.float32)
    nodes, constants = graphs.pair("body.0.fc.weight_quantizer", "body.0.fc.weight", np.array(0.02, np.float32))
    nodes += [
        helper.make_node("MatMul", ["x", "body.0.fc.weight_quantizer"], ["a"], "node_7"),
        helper.make_node("MatMul", ["a", "head.weight"], ["b"], "node_8"),
        helper.make_node("MatMul", ["b", "head.weight"], ["c"], "node_9"),
        helper.make_node("MatMul", ["c", "x"], ["d"], "head"),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    model = graphs.build(nodes, {"x": [4, 4]}, constants | {"body.0.fc.weight": weight, "head.weight": weight})
    assert name_weighted_nodes(model) == 3
    names = [node.name for node in model.graph]
    assert names[2:6] == ["body.0.fc", "head", "head#1", "head#2"]
    assert names[:2] == [f"body.0.fc.weight_quantizer/{op}" for op in ("QuantizeLinear", "DequantizeLinear")]
    assert len(set(names)) == len(names)
