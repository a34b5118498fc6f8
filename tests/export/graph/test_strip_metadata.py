import numpy as np
import onnx_ir as ir

from twofour.export.graph.strip_metadata import strip_metadata


def noted() -> ir.Model:
    x = ir.val("x", ir.DataType.FLOAT, [2])
    weight = ir.tensor(np.ones(2, np.float32), name="w")
    weight.metadata_props["pkg.source"] = "/home/me/net.py"
    w = ir.Value(name="w", const_value=weight)
    node = ir.node("Add", [x, w], metadata_props={"pkg.stack_trace": "/home/me/net.py"}, doc_string="/home/me")
    for value in (x, w, node.outputs[0]):
        value.metadata_props["pkg.fx"] = "/home/me"
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[w], opset_imports={"": 21}, name="g")
    return ir.Model(graph, ir_version=10)


def test_no_note_is_left_and_the_graph_stays():
    model = noted()
    assert strip_metadata(model) == 1
    content = ir.to_proto(model).SerializeToString()
    assert b"/home" not in content
    assert b"pkg" not in content
    assert [node.op_type for node in model.graph] == ["Add"]
    assert strip_metadata(model) == 0
