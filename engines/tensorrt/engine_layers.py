"""What a loaded engine says of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...common import console
from ..config import ShapeRange
from .capabilities import capabilities
from .module import tensorrt
from .plan import Opened

_NOTHING = '{"Layers": []}'


def layers_json(opened: Opened, shapes: Mapping[str, ShapeRange]) -> str:
    """The inspector's JSON. Formats of tensors with dynamic shapes are in it at the `opt` shapes.

    Args:
        opened: the engine.
        shapes: its optimization profile, by input.
    """
    trt = tensorrt()
    if not capabilities().details:
        console.warn("This TensorRT has no engine inspector, so nothing is known of the engine's layers.")
        return _NOTHING
    inspector = opened.engine.create_engine_inspector()
    context = _context(opened, shapes)
    if context is not None:
        inspector.execution_context = context
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _context(opened: Opened, shapes: Mapping[str, ShapeRange]) -> Any:
    """A context that has its shapes; None where it can't be made, as for lack of memory: then less is known."""
    strategy = tensorrt().ExecutionContextAllocationStrategy.USER_MANAGED  # nothing runs, so it needs no memory
    context = opened.engine.create_execution_context(strategy)
    if context is None:
        console.warn("TensorRT gives no execution context, so the formats of dynamic tensors stay unknown: "
                     f"{'; '.join(opened.log.errors()) or 'it does not say why'}")
        return None
    for name, sizes in shapes.items():
        context.set_input_shape(name, tuple(sizes.opt))
    return context


__all__ = ["layers_json"]
