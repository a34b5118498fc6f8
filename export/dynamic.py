"""Which axes of the inputs may change from one inference to the next, and whether a graph left them free."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..common.errors import UserError
from .samples import Tensors

Axes = dict[str, dict[int, str]]
_PICTURE = {"height": 2, "width": 3}


def dynamic_axes(inputs: Tensors, dynamic: Sequence[str]) -> Axes:
    """The name of every dynamic axis, by input and axis.

    Args:
        inputs: batch first; those with four axes are pictures, (N, C, H, W).
        dynamic: `batch`, `height`, `width`.

    Raises:
        UserError: height or width are asked for, but no input is a picture.
    """
    sizes = [name for name in dynamic if name in _PICTURE]
    if sizes and all(value.ndim != 4 for value in inputs.values()):
        raise UserError(
            f"No input has a {sizes[0]}: a picture has four axes (batch, channels, height, width), these have "
            f"{', '.join(f'{name} {value.ndim}' for name, value in inputs.items())}.",
            where="export.dynamic",
            fix="Set export.dynamic to [batch].",
        )
    pictures = {_PICTURE[name]: name for name in sizes}
    return {name: {0: "batch", **(pictures if value.ndim == 4 else {})} for name, value in inputs.items()}


def check_free(model: ir.Model, axes: Axes) -> None:
    """Every dynamic axis is one in the graph.

    Raises:
        UserError: the exporter fixed it to the size of the example.
    """
    for value in model.graph.inputs:
        for axis, name in axes.get(str(value.name), {}).items():
            size = None if value.shape is None else value.shape[axis]
            if isinstance(size, int):
                raise fixed(name, f"the exporter fixed it to {size}")


def name_axes(model: ir.Model, axes: Axes, outputs: Tensors) -> None:
    """Give the dynamic axes of the inputs their names, and the outputs the sizes that they are known to have.

    Args:
        model: changed in place.
        axes: of the inputs.
        outputs: PyTorch's answer; where only the batch is dynamic, all its other sizes hold always.
    """
    for value in model.graph.inputs:
        value.shape = _named(value.shape, axes.get(str(value.name), {}))
    if {name for named in axes.values() for name in named.values()} == {"batch"}:
        for value in model.graph.outputs:
            _settle(value, outputs)


def _named(shape: ir.Shape | None, names: dict[int, str]) -> ir.Shape | None:
    return None if shape is None else ir.Shape([names.get(axis, size) for axis, size in enumerate(shape)])


def _settle(value: ir.Value, outputs: Tensors) -> None:
    answer = outputs.get(str(value.name))
    if answer is not None and value.shape is not None and len(value.shape) == answer.ndim > 0:
        value.shape = ir.Shape([value.shape[0], *answer.shape[1:]])


def fixed(name: str, how: str) -> UserError:
    """The error that says that an axis is not dynamic in the network, and what to do."""
    if name == "batch":
        return UserError(
            f"The network can't be exported with a dynamic batch: {how}.",
            where="export",
            fix="Write x.shape[0] or -1 instead of a number in forward(), and make no int() of a shape; or try the "
            "other exporter.",
        )
    return UserError(
        f"The network can't be exported with a dynamic {name}: {how}.",
        where="export.dynamic",
        fix=f"Take {name} out of export.dynamic, or let forward() compute with the size that it gets.",
    )


def pictures(axes: Axes) -> dict[str, dict[str, int]]:
    """Of `height` and `width`, where they are dynamic: the axis, by input."""
    found: dict[str, dict[str, int]] = {}
    for key, named in axes.items():
        for axis, name in named.items():
            if name != "batch":
                found.setdefault(name, {})[key] = axis
    return found


__all__ = ["Axes", "check_free", "dynamic_axes", "fixed", "name_axes", "pictures"]
