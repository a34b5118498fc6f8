"""A graph run word for word: ONNX Runtime without its optimizations, so that every Q and DQ rounds where it stands."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..common.errors import UserError
from .backend import Arrays
from .onnxruntime.session import runtime

_QUIET = 4  # what it logs of an error is in what it raises


class LiteralRunner:
    """Runs an ONNX file on the CPU as it is written; slower than `OnnxRunner`, and free of its integer kernels.

    Args:
        path: the file.

    Raises:
        UserError: it is missing or damaged, or holds what this ONNX Runtime can't run on a CPU, such as most of
            bfloat16, or runs wrongly.
        MissingError: ONNX Runtime is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        package = runtime()
        options = package.SessionOptions()
        options.graph_optimization_level = package.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = _QUIET
        check_halves(path)
        try:
            self._session: Any = package.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a different class for every reason
            raise UserError(f"ONNX Runtime can't run it on a CPU ({_line(error)}).", where=str(path)) from error

    def infer(self, inputs: Arrays) -> dict[str, Any]:
        """Answer one batch.

        Raises:
            UserError: the inputs don't fit, or ONNX Runtime can't run a node on a CPU.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # as above
            raise UserError(f"ONNX Runtime can't run it on a CPU ({_line(error)}).") from error

    def close(self) -> None:
        """Release the session."""
        self._session = None


def check_halves(path: Path) -> None:
    """Refuse an ONNX Runtime whose kernel that quantizes FP16 is wrong, where the file needs it.

    Up to 1.28 and maybe 1.29 it is: a third of the codes were others.

    Raises:
        UserError: it is this one.
    """
    if _quantizes_halves(path) and not _halves_are_right():
        raise UserError(f"ONNX Runtime {runtime().__version__} quantizes FP16 tensors wrongly.", where=str(path),
                        fix="Install a later one: pip install 'onnxruntime>=1.30' (Python 3.11 or later).")


def _quantizes_halves(path: Path) -> bool:
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception:  # ONNX Runtime says it better
        return False
    halves = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    return any(node.op_type == "QuantizeLinear" and node.input[1] in halves for node in graph.node)


@cache
def _halves_are_right() -> bool:
    values, scale = np.linspace(-2, 2, 257).astype(np.float16), np.float16(0.0371)
    constants = [helper.make_tensor("scale", TensorProto.FLOAT16, [], [scale]),
                 helper.make_tensor("zero", TensorProto.INT8, [], [0])]
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"])], "halves",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [None])],
        [helper.make_tensor_value_info("codes", TensorProto.INT8, [None])], constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = runtime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    right = np.rint(values.astype(np.float32) / np.float32(scale))
    return bool(np.array_equal(session.run(None, {"x": values})[0], right))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


__all__ = ["LiteralRunner", "check_halves"]
