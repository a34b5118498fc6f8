"""Operators, opsets and types that TensorRT's ONNX parser doesn't import, release by release."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from .context import Context
from .finding import Finding, Rule
from .releases import IMPORTED, LISTED, OLDEST_OPSET, REFUSED, RELEASES, SINCE

_PARSER = "TensorRT reads ONNX through its parser; what the parser doesn't import ends the build."
_NEXT = "Export it with other operators, compute this part outside of the network, or provide a plugin of this name."
_PAIRS = ("Quantize with QuantizeLinear and DequantizeLinear around float operators (ONNX Runtime: `quantize_static`, "
          "`QuantFormat.QDQ`).")
_INTEGERS = ("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul")
_OWN_DOMAINS = ("trt", "trt.plugins", "com.nvidia")

REFUSED_OPERATOR = Rule("OPS001", "error", "an operator that no release of TensorRT imports", _PARSER, _NEXT)
LATER_OPERATOR = Rule(
    "OPS002", "error", "an operator that a later release imports, but not this one", _PARSER,
    "Use the later release, or export with other operators.",
)
SOME_RELEASES = Rule(
    "OPS003", "note", "an operator that only later releases import, where no release was named",
    "The file builds on some of the machines only that run TensorRT.",
    "Name the release with `--tensorrt`, and use one that has it.",
)
UNLISTED_OPERATOR = Rule(
    "OPS004", "warning", "an ONNX operator that no published list mentions",
    "Nobody has said whether the parser imports it; it may end the build.",
    "Try the parser of the release (`trtexec --onnx=...`), or export to an older opset.",
)
CUSTOM_DOMAIN = Rule(
    "OPS005", "error", "an operator of a domain that the parser doesn't know", _PARSER,
    "Export with ONNX's own operators, or provide a plugin of this name.",
)
PLUGIN = Rule(
    "OPS006", "warning", "an operator of TensorRT's own domains",
    "It needs the plugin, or the release, that it was written for; other runtimes refuse the file.",
    "Make sure that the plugin is loaded where the engine is built and where it runs.",
)
NEW_OPSET = Rule(
    "OPS007", "error", "an opset beyond what the parser can know",
    "Operators of a newer opset may mean something else than the parser takes them for, or end the build.",
    "Export to an older opset; 21 is good for every release from 10.12 on.",
)
UNPROVEN_OPSET = Rule(
    "OPS008", "warning", "an opset of which nobody has said that this release imports it",
    "The parser may refuse operators whose definition is newer than it is.",
    "Export to an older opset; 21 is good for every release from 10.12 on.",
)
OLD_OPSET = Rule(
    "OPS009", "warning", "an opset older than what the parser promises to read",
    "The parser promises to read opset 9 and newer; older operators may be misread.",
    "Export again to opset 17 or newer, or convert it with `onnx.version_converter`.",
)
NEW_FORMAT = Rule(
    "OPS012", "note", "an IR version that is newer than the ONNX which the parser is built with",
    "The parser only logs this number, but it can't know what came with it (types, attributes).",
    "Export with an older ONNX, or set `ir_version` to 10.",
)
UNKNOWN_TYPE = Rule(
    "OPS010", "error", "a tensor of a type that TensorRT doesn't have",
    "TensorRT has float, int32, int64, bool, and quantized types; UINT8 only as an input or output of the network.",
    "Cast it outside of the network, or use one of these types.",
)
RULES = (REFUSED_OPERATOR, LATER_OPERATOR, SOME_RELEASES, UNLISTED_OPERATOR, CUSTOM_DOMAIN, PLUGIN, NEW_OPSET,
         UNPROVEN_OPSET, OLD_OPSET, UNKNOWN_TYPE, NEW_FORMAT)

_TYPES = {
    ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE, ir.DataType.INT32,
    ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT4,
    ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT4E2M1,
}


def operators(node: ir.Node, context: Context) -> Iterator[Finding]:
    """Whether the parser imports a node."""
    if (node.domain, node.op_type, node.overload) in context.model.functions:
        return
    if node.domain not in ("", "ai.onnx"):
        yield _foreign(node)
    elif node.op_type in SINCE:
        yield from _later(node, context)
    elif node.op_type in REFUSED:
        text = f"TensorRT's parser doesn't import {node.op_type} (list of {_dotted(LISTED)}; no later one is known to)"
        yield REFUSED_OPERATOR.at(node, text, _PAIRS if node.op_type in _INTEGERS else None)
    elif node.op_type not in IMPORTED:
        yield UNLISTED_OPERATOR.at(node, f"whether TensorRT's parser imports {node.op_type} is not known")


def _foreign(node: ir.Node) -> Finding:
    if node.domain in _OWN_DOMAINS or node.op_type.startswith("TRT_"):
        return PLUGIN.at(node, f"{node.op_type} of the domain {node.domain!r} is a plugin or TensorRT's own")
    return CUSTOM_DOMAIN.at(node, f"TensorRT's parser doesn't know the domain {node.domain!r} of {node.op_type}")


def _later(node: ir.Node, context: Context) -> Iterator[Finding]:
    since, name = SINCE[node.op_type], _dotted(SINCE[node.op_type])
    if context.release is None:
        yield SOME_RELEASES.at(node, f"TensorRT's parser imports {node.op_type} from {name} on")
    elif context.release.version < since:
        text = f"TensorRT {context.release.name} doesn't import {node.op_type}; {name} and later do"
        yield LATER_OPERATOR.at(node, text, f"Use TensorRT {name} or later, or export with other operators.")


def opsets(context: Context) -> Iterator[Finding]:
    """Whether the parser knows the opset of ONNX's own operators."""
    newest = context.release or RELEASES[-1]
    named = f"TensorRT {context.release.name}" if context.release else "any release of TensorRT that is known here"
    if context.opset > newest.limit:
        yield NEW_OPSET.at("", f"opset {context.opset} is newer than what {named} can know ({newest.limit})")
    elif context.opset > newest.opset:
        yield UNPROVEN_OPSET.at("", f"opset {context.opset}: {named} is known to import opset {newest.opset}, not more")
    elif 0 < context.opset < OLDEST_OPSET:
        yield OLD_OPSET.at("", f"opset {context.opset} is older than {OLDEST_OPSET}")
    if context.model.ir_version > newest.ir:
        yield NEW_FORMAT.at("", f"IR version {context.model.ir_version} is newer than {newest.ir}, that of {named}")


def element_types(context: Context) -> Iterator[Finding]:
    """Inputs and outputs of the network, and Casts, to types that TensorRT doesn't have."""
    graph = context.model.graph
    for value, role in [*((value, "input") for value in graph.inputs), *((value, "output") for value in graph.outputs)]:
        if value.dtype is not None and value.dtype not in _TYPES:
            yield UNKNOWN_TYPE.at(str(value.name), f"the network's {role} {value.name!r} is {value.dtype.name}")
    for node in context.nodes:
        kind = context.type_of(node.outputs[0]) if node.op_type == "Cast" and node.outputs else None
        if kind is not None and (kind not in _TYPES or (kind == ir.DataType.UINT8 and not _leaves(node))):
            yield UNKNOWN_TYPE.at(node, f"it casts to {kind.name}")


def _leaves(node: ir.Node) -> bool:
    return node.outputs[0].is_graph_output()


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


__all__ = ["RULES", "element_types", "operators", "opsets"]
