"""From a typed ONNX file to a TensorRT network, or a paragraph about the nodes that TensorRT refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...common.bundle import Tensor
from ...common.errors import UserError
from .capabilities import capabilities
from .logger import Log
from .module import tensorrt

_SHOWN = 5
_KNOWN = (  # what the error's text says, and what to do about it; the first that fits
    (r"scale coefficients must all be positive|scale.*(?:positive|non-?zero|greater than (?:0|zero))",
     "A scale of zero belongs to a channel or tensor that calibration saw only zeros in: calibrate on inputs that use "
     "it, or prune it away."),
    (r"zero[- _]?point",
     "TensorRT takes symmetric INT8 only, zero points of 0: quantize the model symmetrically, as twofour does."),
    (r"type constraints|no matching rules|could not infer output types|same type|data ?type mismatch",
     "The float types around this node don't agree: build with --rest fp32, and report the node."),
    (r"opset", "Export with an opset that this TensorRT reads: 19 to 21 suit every release."),
    (r"plugin|no importer|unsupported (?:onnx )?op|op type|operator", "TensorRT has no such operator: replace it in "
     "the model by others that do the same, or leave it out of the exported part."),
    (r"shape tensor|dynamic|build-?time constant", "Give it a fixed size: export with static shapes, or fix the "
     "dimensions with --shape."),
)
_GENERAL = "Replace this node in the model, or try a newer TensorRT."


def parse(builder: Any, typed: Path, inputs: Sequence[Tensor], log: Log, logger: Any) -> tuple[Any, Any]:
    """Read a typed ONNX file into a strongly typed network.

    Args:
        builder: a `trt.Builder`.
        typed: the file; weights may lie in a file beside it.
        inputs: what the file declares, checked against what TensorRT read.
        log: what TensorRT says.
        logger: that writes to `log`.

    Returns:
        The network and its parser, which holds the weights and lives as long as the network.

    Raises:
        UserError: TensorRT refuses the file; with the name and operator of every node that it names.
    """
    trt, can = tensorrt(), capabilities()
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if can.strongly_typed_flag else 0
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if "NATIVE_INSTANCENORM" in can.parser_flags:  # the plugin in its place runs in no version-compatible plan
        parser.set_flag(trt.OnnxParserFlag.NATIVE_INSTANCENORM)
    if not parser.parse(typed.read_bytes(), str(typed)):
        raise _refused(typed, [parser.get_error(place) for place in range(parser.num_errors)], log)
    _check_inputs(network, inputs, typed)
    return network, parser


def _refused(typed: Path, errors: Sequence[Any], log: Log) -> UserError:
    told = [_told(error) for error in errors] or [(text, _advice(text)) for text in log.errors()]
    told = list(dict.fromkeys(told)) or [("it doesn't say why", _GENERAL)]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    what = "; ".join(text for text, _ in told[:_SHOWN])
    fixes = dict.fromkeys(fix for _, fix in told[:_SHOWN])
    return UserError(f"TensorRT {capabilities().version} can't read this model: {what}{more}.", where=str(typed),
                     fix=" ".join(fixes))


def _told(error: Any) -> tuple[str, str]:
    """What one of the parser's errors says, and what to do."""
    text, operator = _line(error.desc()), error.node_operator()
    name = error.node_name()
    stack = error.local_function_stack()
    inside = f" in the function {' in '.join(stack)}" if stack else ""
    if name or operator:
        node = f"node {name!r}" if name else f"node number {error.node()}"
        return f"{node}{f' ({operator})' if operator else ''}{inside}: {text}", _advice(text)
    return text, _advice(text)


def _advice(text: str) -> str:
    return next((advice for pattern, advice in _KNOWN if re.search(pattern, text, re.IGNORECASE)), _GENERAL)


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".") or "no reason given"


def _check_inputs(network: Any, inputs: Sequence[Tensor], typed: Path) -> None:
    found = {tensor.name: tensor for tensor in (network.get_input(place) for place in range(network.num_inputs))}
    if set(found) != {tensor.name for tensor in inputs}:
        raise UserError(f"The model has the inputs {_names(found)}; declared are {_names(t.name for t in inputs)}.",
                        where=str(typed), fix="Export the bundle again.")
    for name, tensor in found.items():
        if tensor.is_shape_tensor:
            raise UserError(f"The input {name!r} decides shapes inside of the model; such an engine has no fixed "
                            "range of them.", where=str(typed), fix="Export the model with that input as a constant.")


def dynamic_inputs(network: Any) -> list[str]:
    """Names of the inputs with a dimension that isn't fixed."""
    found = [network.get_input(place) for place in range(network.num_inputs)]
    return [tensor.name for tensor in found if -1 in tuple(tensor.shape)]


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"


__all__ = ["dynamic_inputs", "parse"]
