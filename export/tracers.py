"""PyTorch's two exporters, each from a network with markers to a graph with markers."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

import onnx
import onnx_ir as ir
import torch
from torch import nn

from ..common.errors import UserError
from .dynamic import Axes
from .graph.quantizers import DOMAIN
from .samples import Tensors

_NEWEST_TORCHSCRIPT = 20


def dynamo(adapter: nn.Module, inputs: Tensors, outputs: list[str], axes: Axes, opset: int) -> ir.Model:
    """By torch.export.

    Args:
        adapter: takes the inputs by position and returns a tuple of tensors.
        inputs: the example, by name.
        outputs: their names.
        axes: the dynamic axes of the inputs.
        opset: of the graph.

    Raises:
        UserError: the graph can't be brought to the opset. PyTorch's own errors pass through.
    """
    dims = {name: torch.export.Dim(name, min=1) for named in axes.values() for name in named.values()}
    shapes = tuple({axis: dims[name] for axis, name in axes[key].items()} for key in inputs)
    program = torch.onnx.export(
        adapter, tuple(inputs.values()), dynamo=True, opset_version=opset, input_names=list(inputs),
        output_names=outputs, dynamic_shapes=(shapes,), verbose=False,
    )
    assert program is not None
    return _at_opset(program.model, opset)


def torchscript(adapter: nn.Module, inputs: Tensors, outputs: list[str], axes: Axes, opset: int) -> ir.Model:
    """By torch.jit.trace; see `dynamo`.

    The weights don't go through the exporter, which copies them several times and ends at 2 GB: it leaves them as
    inputs of the graph, under the names of the state dict.
    """
    file = io.BytesIO()
    torch.onnx.export(
        adapter, tuple(inputs.values()), file, dynamo=False, opset_version=min(opset, _NEWEST_TORCHSCRIPT),  # type: ignore[arg-type]
        input_names=list(inputs), output_names=outputs, do_constant_folding=False, custom_opsets={DOMAIN: 1},
        dynamic_axes={**axes, **{name: {0: "batch"} for name in outputs}}, export_params=False,
    )
    model = ir.from_proto(onnx.load_from_string(file.getvalue()))
    _fill(model, adapter, set(inputs))
    return _at_opset(model, opset)


def _fill(model: ir.Model, adapter: nn.Module, inputs: set[str]) -> None:
    """Make initializers of the inputs that stand for weights; they share the network's memory."""
    state = adapter.state_dict()
    for value in [value for value in model.graph.inputs if str(value.name) not in inputs]:
        value.const_value = ir.tensor(state[str(value.name)].numpy(), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)


def _at_opset(model: ir.Model, opset: int) -> ir.Model:
    if model.opset_imports[""] != opset:
        from onnxscript import version_converter

        version_converter.convert_version(model, opset)
    if model.opset_imports[""] != opset:
        raise UserError(
            f"The exported graph can't be brought from opset {model.opset_imports['']} to {opset}.",
            where="export.opset",
            fix=f"Set opset to {model.opset_imports['']}.",
        )
    return model


@contextmanager
def captured(said: io.StringIO) -> Iterator[None]:
    """What the exporters print, log and warn of goes to `said`."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    disabled = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(said))
        stack.enter_context(redirect_stderr(said))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


__all__ = ["captured", "dynamo", "torchscript"]
