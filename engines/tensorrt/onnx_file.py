"""A plain ONNX file as a TensorRT engine, in memory alone: for those who have no bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir

from ...common.bundle import Tensor
from ...common.errors import UserError
from ...export.graph.load import load
from ..config import ShapeRange, TensorRTConfig
from .build_plan import build_plan
from .plan import Opened, open_plan
from .typed import TYPED, write_typed


def build_onnx(
    path: Path, batches: Sequence[int], options: TensorRTConfig, shapes: Mapping[str, Sequence[int]]
) -> Opened:
    """Type an ONNX file, build it and open the plan.

    Args:
        path: the file; it stays as it is.
        batches: batch sizes that the engine has to take.
        options: of the build; its range of batches is widened to `batches`.
        shapes: whole shapes by input name, for dynamic dimensions other than the batch.

    Raises:
        UserError: the file can't be used, TensorRT refuses it, or a dynamic dimension has no size.
        MissingError: TensorRT or the GPU is missing, or memory is short.
    """
    model = load(path)
    inputs = [_tensor(value, path) for value in model.graph.inputs if value.name not in model.graph.initializers]
    options = options.model_copy(update={
        "min_batch": min(options.min_batch, *batches), "max_batch": max(options.max_batch, *batches),
    })
    ranges = {name: _range(shape, options) for name, shape in shapes.items()}
    options = options.model_copy(update={"shapes": options.shapes | ranges})
    with TemporaryDirectory(prefix="twofour-") as folder:
        typed = Path(folder) / TYPED
        write_typed(model, options, {}, typed)
        built = build_plan(typed, inputs, options, label=f"build {path.name}")
    return open_plan(built.plan, options, str(path))


def _tensor(value: ir.Value, path: Path) -> Tensor:
    if not isinstance(value.type, ir.TensorType) or value.type.dtype == ir.DataType.STRING or value.shape is None:
        raise UserError(f"The input {value.name!r} is no tensor of numbers of a known rank.", where=str(path))
    shape = [size if isinstance(size, int) else str(size.value or f"{value.name} {axis}")
             for axis, size in enumerate(value.shape)]
    return Tensor(name=str(value.name), dtype=value.type.dtype.numpy().name, shape=shape)


def _range(shape: Sequence[int], options: TensorRTConfig) -> ShapeRange:
    low, middle, high = (
        [batch, *shape[1:]] for batch in (options.min_batch, options.opt_batch, options.max_batch)
    )
    return ShapeRange(min=low, opt=middle, max=high)


__all__ = ["build_onnx"]
