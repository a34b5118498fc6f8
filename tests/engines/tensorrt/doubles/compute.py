"""Running the ONNX behind a plan, as it is written: no optimization, so that every Q and DQ rounds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime


@lru_cache(maxsize=16)
def _session(model: bytes, names: tuple[str, ...]) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(_with_outputs(model, names).SerializeToString(), options,
                                        providers=["CPUExecutionProvider"])


def _with_outputs(model: bytes, names: tuple[str, ...]) -> onnx.ModelProto:
    """The model with these tensors as outputs too."""
    loaded = onnx.load_from_string(model)
    known = {one.name for one in loaded.graph.output}
    inferred = {one.name: one for one in onnx.shape_inference.infer_shapes(loaded).graph.value_info}
    loaded.graph.output.extend(inferred[name] for name in names if name not in known)
    return loaded


def has_bfloat16(model: bytes) -> bool:
    """Whether ONNX Runtime's CPU provider would refuse it for bfloat16."""
    loaded = onnx.load_from_string(model)
    kind = onnx.TensorProto.BFLOAT16
    if any(one.data_type == kind for one in loaded.graph.initializer):
        return True
    inferred = onnx.shape_inference.infer_shapes(loaded).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return any(one.type.tensor_type.elem_type == kind for one in values)


@lru_cache(maxsize=16)
def _reference(model: bytes, names: tuple[str, ...]) -> Any | None:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(_with_outputs(model, names)) if has_bfloat16(model) else None


def run(model: bytes, inputs: dict[str, np.ndarray], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Values of the tensors `names`; by the reference evaluator where bfloat16 is in play."""
    reference = _reference(model, names)
    runner = reference if reference is not None else _session(model, names)
    values = runner.run(list(names), inputs)
    return dict(zip(names, map(np.asarray, values), strict=True))
