"""Export a quantized PyTorch network to an ONNX graph with Q/DQ, by either of PyTorch's exporters."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from ..common.errors import TwofourError, UserError
from .config import ExportConfig
from .dynamic import Axes, check_free, dynamic_axes, name_axes
from .graph.batchnorm import fold_batchnorm
from .graph.fold_constants import fold_constants
from .graph.int8_weights import store_int8_weights
from .graph.naming import name_weighted_nodes
from .graph.passes import Pass
from .graph.quantizers import DOMAIN, insert_quantizers
from .graph.save import save
from .graph.strip_metadata import strip_metadata
from .graph.tidy import tidy
from .graph.transposes import fold_weight_transposes
from .graph.values import forget_constants
from .qdq import marked_copy
from .samples import Adapter, Tensors, named_inputs, named_outputs
from .symbolic_int import symbolic_int
from .tracers import captured, dynamo, torchscript
from .trial import Elsewhere, answers_at, compare_at

_PREFIX = "network."


def export(network: nn.Module, example: object, config: ExportConfig) -> ir.Model:
    """Export `network` with a dynamic batch and, where the configuration says so, height and width.

    Args:
        network: calibrated, with its quantizers; it is not changed.
        example: one batch of inputs: a tensor, a tuple or a dict of tensors, batch first, at least 1 sample.
        config: exporter, opset, form of the weights.

    Returns:
        A graph whose quantizers and weighted nodes carry PyTorch's names, with BatchNormalization folded.

    Raises:
        UserError: the network can't be traced, an axis that is to be dynamic is fixed in it, or its graph can't be
            brought to the opset.
    """
    model, elsewhere = _exported(network, example, config)
    if elsewhere:
        with tempfile.TemporaryDirectory() as folder:
            save(model, Path(folder) / "model.onnx")
            compare_at(Path(folder) / "model.onnx", elsewhere)
    return model


def export_file(network: nn.Module, example: object, config: ExportConfig, path: Path) -> list[str]:
    """`export` into a file, in little memory: the graph's weights are let go once they are written.

    Returns:
        The names of the files, in `path`'s folder.

    Raises:
        UserError: as of `export`, or the files can't be written. What is at `path` then is no network to use.
    """
    model, elsewhere = _exported(network, example, config)
    names = save(model, path)
    forget_constants(model)
    compare_at(path, elsewhere)
    return names


def _exported(network: nn.Module, example: object, config: ExportConfig) -> tuple[ir.Model, list[Elsewhere]]:
    by_name = isinstance(example, Mapping)
    inputs = {name: _two_or_more(value.detach().cpu()) for name, value in named_inputs(network, example).items()}
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    axes = dynamic_axes(inputs, config.dynamic)
    marked, quantizers = marked_copy(network, torchscript=config.exporter == "torchscript")
    adapter = Adapter(marked, list(inputs), by_name).eval()
    doubted = config.exporter == "torchscript" or len(config.dynamic) > 1  # dynamo proves that the batch is free
    outputs = _answer(adapter, inputs)
    elsewhere = answers_at(network, inputs, axes, by_name=by_name) if doubted else []
    model = _trace(adapter, inputs, list(outputs), axes, config)
    name_axes(model, axes, outputs)
    _strip_prefix(model)
    for step in (tidy, fold_constants, tidy, insert_quantizers(quantizers), *_passes(model)):
        step(model)
    _check_complete(model, set(quantizers))
    if config.weights == "int8":
        store_int8_weights(model)
    return model, elsewhere


def _passes(model: ir.Model) -> tuple[Pass, ...]:
    model.producer_name, model.doc_string = "twofour", None
    return (fold_constants, fold_weight_transposes, fold_batchnorm, tidy, name_weighted_nodes, strip_metadata)


def _two_or_more(value: torch.Tensor) -> torch.Tensor:
    # a batch of 1 would be taken for a constant
    return torch.cat([value, value]) if len(value) == 1 else value[:2]


def _trace(adapter: Adapter, inputs: Tensors, outputs: list[str], axes: Axes, config: ExportConfig) -> ir.Model:
    try:
        return _traced(adapter, inputs, outputs, axes, config)
    except Exception as error:  # whatever the exporter could not swallow is about the user's network
        if config.exporter == "torchscript":
            raise _untraceable(error, config) from error
        return _retraced(adapter, inputs, outputs, axes, config, error)


def _traced(adapter: Adapter, inputs: Tensors, outputs: list[str], axes: Axes, config: ExportConfig) -> ir.Model:
    trace = dynamo if config.exporter == "dynamo" else torchscript
    with torch.no_grad(), captured(io.StringIO()):
        model = trace(adapter, inputs, outputs, axes, config.opset)
    check_free(model, axes)
    return model


def _retraced(
    adapter: Adapter, inputs: Tensors, outputs: list[str], axes: Axes, config: ExportConfig, error: Exception
) -> ir.Model:
    try:
        with symbolic_int(adapter.network):
            return _traced(adapter, inputs, outputs, axes, config)
    except Exception:  # the first error is about the network as it is written
        raise _untraceable(error, config) from error


def _call(adapter: Adapter, inputs: Tensors) -> Tensors:
    network = adapter.network
    return named_outputs(network(**inputs) if adapter.by_name else network(*inputs.values()))


def _answer(adapter: Adapter, inputs: Tensors) -> Tensors:
    try:
        with torch.no_grad():
            return _call(adapter, inputs)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"The network fails on a batch of the validation loader: {type(error).__name__}: {_first_line(error)}.",
            fix="Check that the loader's inputs are what the network's forward() takes.",
        ) from error


def _untraceable(error: Exception, config: ExportConfig) -> TwofourError:
    if isinstance(error, TwofourError):
        return error
    other = "torchscript" if config.exporter == "dynamo" else "dynamo"
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return UserError(
        f"The {config.exporter} exporter can't trace this network: {type(cause).__name__}: {_first_line(cause)}",
        where="export",
        fix="Avoid Python decisions on tensor values and shapes fixed to one batch size in forward(), "
        f"or set export.exporter to {other}.",
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:400] if lines else "no message"


def _strip_prefix(model: ir.Model) -> None:
    initializers = model.graph.initializers
    for name in [name for name in initializers if name.startswith(_PREFIX)]:
        short = name.removeprefix(_PREFIX)
        if short not in initializers:
            initializers[name].name = short


def _check_complete(model: ir.Model, names: set[str]) -> None:
    left = [node.name for node in model.graph if node.domain == DOMAIN]
    if left:
        raise TwofourError(f"{len(left)} quantizers were left in the graph as markers.")
    if names and not any(node.op_type == "QuantizeLinear" for node in model.graph):
        raise TwofourError("The exporter lost every quantizer of the network.")


__all__ = ["export", "export_file"]
