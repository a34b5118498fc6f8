"""How far do the tensors of a network reach? Measured in FP32 on real inputs, for those who choose narrower types."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from ..common.errors import UserError
from ..export.graph.load import load
from ..export.graph.save import save
from ..export.graph.values import constant, is_op
from .backend import Arrays
from .onnxruntime.session import open_session
from .samples import batch_of

LIMIT_BYTES = 1 << 28
_MOST_SAMPLES = 32


def largest_magnitudes(path: Path, inputs: Arrays, names: Collection[str] | None = None) -> dict[str, float]:
    """Run a network on ONNX Runtime and look at every FP32 tensor that depends on its inputs.

    An infinity is accepted, and left out of the result, where a constant of the graph is infinite (a mask); NaN never.

    Args:
        path: the ONNX file; it stays as it is.
        inputs: real samples by input name, first axis: batch. They are taken in batches whose tensors need about
            256 MiB together, or as many as the file fixes.
        names: tensors to look at. Defaults to all.

    Returns:
        The largest |x| of each, by name.

    Raises:
        UserError: the file or the inputs can't be used, or a tensor becomes infinite or NaN (the node is named).
        MissingError: ONNX Runtime is missing or broken.
    """
    model = load(path)
    ShapeInferencePass(strict_mode=False)(model)
    masks = _holds_infinity(model)
    makers = {str(value.name): node for node, value in _computed(model) if names is None or value.name in names}
    found = {str(value.name): 0.0 for value in model.graph.inputs
             if value.dtype == ir.DataType.FLOAT and (names is None or value.name in names)}
    order, fixed = [*found, *makers], _fixed_batch(model)
    _add_outputs(model, makers)
    with TemporaryDirectory(prefix="twofour-") as folder:
        copy = Path(folder) / "measured.onnx"
        save(model, copy)
        del model
        session = open_session(copy, None)
        for batch in _batches(session, inputs, fixed, path):
            for name in order:  # the graph's, so that the first node that goes wrong is the one that is named
                reach = _reach(batch[name], makers.get(name), name, path, masks)
                found[name] = max(found.get(name, 0.0), reach)
        del session
    return found


def _computed(model: ir.Model) -> Iterator[tuple[ir.Node, ir.Value]]:
    """The FP32 tensors of the main graph that depend on an input, with their nodes."""
    varying = {value for value in model.graph.inputs if not value.is_initializer()}
    for node in model.graph:
        if not any(value in varying for value in node.inputs) and not _reads_from_outside(node, varying):
            continue
        varying.update(node.outputs)
        for value in node.outputs:
            if value.name and value.dtype == ir.DataType.FLOAT and isinstance(value.type, ir.TensorType):
                yield node, value


def _reads_from_outside(node: ir.Node, varying: set[ir.Value]) -> bool:
    """Whether a graph inside the node reads a tensor that varies."""
    graphs = [attribute for attribute in node.attributes.values() if attribute.type == ir.AttributeType.GRAPH]
    inner = [one for graph in graphs for one in ir.traversal.RecursiveGraphIterator(graph.as_graph())]
    return any(value in varying for one in inner for value in one.inputs)


def _holds_infinity(model: ir.Model) -> bool:
    values = list(model.graph.initializers.values())
    values += [value for node in model.graph if is_op(node, "Constant") for value in node.outputs]
    arrays = [constant(value) for value in values if value.dtype == ir.DataType.FLOAT]
    arrays += [node.attributes["value"].as_tensor().numpy() for node in model.graph
               if is_op(node, "ConstantOfShape") and "value" in node.attributes]
    return any(array is not None and array.dtype.kind == "f" and bool(np.isinf(array).any()) for array in arrays)


def _fixed_batch(model: ir.Model) -> int | None:
    """The batch size that the file fixes, if it does."""
    sizes = [value.shape[0] for value in model.graph.inputs if value.shape is not None and len(value.shape)]
    fixed = [size for size in sizes if isinstance(size, int)]
    return fixed[0] if fixed else None


def _add_outputs(model: ir.Model, makers: dict[str, ir.Node]) -> None:
    for name, node in makers.items():
        value = next(value for value in node.outputs if value.name == name)
        if not value.is_graph_output():
            model.graph.outputs.append(value)


def _batches(session: Any, inputs: Arrays, fixed: int | None, path: Path) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Inputs and everything computed from them, batch by batch; the first one sample alone tells how much that is."""
    names = [value.name for value in session.get_outputs()]
    count = min((len(value) for value in inputs.values() if value.ndim), default=1)
    batch_of(inputs, 1)  # refuses inputs without samples
    start, size = 0, fixed or 1
    while start < count:
        part = {name: value[start : start + size] if value.ndim else value for name, value in inputs.items()}
        part = batch_of(part, fixed) if fixed else part
        try:
            answers = dict(zip(names, session.run(names, part), strict=True))
        except Exception as error:  # ONNX Runtime raises a different class for every mistake
            reason = " ".join(str(error).split())
            raise UserError(f"ONNX Runtime can't run these inputs ({reason}).", where=str(path)) from error
        yield {**part, **answers}
        start += size
        per_sample = sum(value.nbytes for value in answers.values()) // size
        size = fixed or max(1, min(_MOST_SAMPLES, LIMIT_BYTES // max(per_sample, 1)))


def _reach(array: np.ndarray[Any, Any], node: ir.Node | None, name: str, path: Path, masks: bool) -> float:
    finite = np.isfinite(array)
    if finite.all():
        return float(np.max(np.abs(array), initial=0.0))
    if np.isnan(array).any() or not masks:
        what = f"The node {node.name!r} ({node.op_type}) makes" if node is not None else f"The input {name!r} holds"
        word = "NaN" if np.isnan(array).any() else "infinite numbers"
        raise UserError(f"{what} {word}, in FP32 and on the recorded inputs.", where=str(path),
                        fix="Check the network and its inputs: no engine can do better.")
    return float(np.max(np.abs(array), initial=0.0, where=finite))


__all__ = ["LIMIT_BYTES", "largest_magnitudes"]
