"""What TensorRT says of a build: log lines and the inspector's document.

Origin: "eligible / picked" is the wording of the documentation of 8.x; "Found / Chose" is of public reports on 10.14
and on JetPack. No public log of 11 was seen, so a build with 11 logs nothing of sparsity unless a test asks for it.
Keys of the inspector's layers are those of public engine descriptions of 10.x.
"""

from __future__ import annotations

from typing import Any

from .graph import Graph, Layer, groups, two_four
from .state import STATE

Shapes = dict[str, tuple[int, ...]]


def eligible(layer: Layer) -> bool:
    return layer.weight is not None and groups(layer.node) == 1 and two_four(layer.weight)


def chosen(layer: Layer, flags: set[str]) -> bool:
    """The layer runs sparse: asked for, eligible, and either all in FP or INT8 in and INT8 out."""
    whole = layer.int8_out or not layer.int8
    return "SPARSE_WEIGHTS" in flags and eligible(layer) and whole and STATE.chooses_sparse(layer.node.name)


def sparsity_lines(graph: Graph, flags: set[str], major: int) -> list[tuple[str, str]]:
    """As a build of this major logs them, with SPARSE_WEIGHTS."""
    if "SPARSE_WEIGHTS" not in flags or major >= 11:
        return []
    found = [layer.name for layer in graph.layers() if eligible(layer)]
    took = [layer.name for layer in graph.layers() if chosen(layer, flags)]
    return [("INFO", _line("Found", found, "eligible to use sparse tactics")),
            ("INFO", _line("Chose", took, "using sparse tactics"))]


def older_lines(graph: Graph, flags: set[str]) -> list[tuple[str, str]]:
    """As 8.x logged them."""
    found = ", ".join(layer.name for layer in graph.layers() if eligible(layer))
    took = ", ".join(layer.name for layer in graph.layers() if chosen(layer, flags))
    return [("INFO", f"(Sparsity) Layers eligible for sparse math: {found}"),
            ("INFO", f"(Sparsity) TRT inference plan picked sparse implementation for layers: {took}")]


def _line(verb: str, names: list[str], tail: str) -> str:
    listed = f": {', '.join(names)}" if names else ""
    return f"(Sparsity) {verb} {len(names)} layer(s) {tail}{listed}"


OUT_OF_MEMORY = ("ERROR", "IBuilder::buildSerializedNetwork: Error Code 2: OutOfMemory (Requested size was 17179869184 "
                          "bytes.)")
SKIPPED_TACTIC = ("WARNING", "UNSUPPORTED_STATE: Skipping tactic 0 due to insufficient memory on requested size of "
                             "4718592 detected for tactic 0x0000000000000002.")


def document(graph: Graph, flags: set[str], detailed: bool, shapes: Shapes | None) -> dict[str, Any]:
    """The inspector's JSON; `shapes` are those of an execution context, None without one."""
    layers = graph.layers()
    names = [one.name for one in (*graph.inputs, *graph.outputs)]
    if not detailed:
        return {"Layers": [layer.name for layer in layers], "Bindings": names}
    return {"Layers": [_layer(graph, layer, flags, shapes) for layer in layers], "Bindings": names}


def _layer(graph: Graph, layer: Layer, flags: set[str], shapes: Shapes | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "Name": layer.name,
        "LayerType": _type(layer),
        "Inputs": [_end(graph, name, layer.int8, shapes) for name in layer.inputs],
        "Outputs": [_end(graph, layer.outputs[-1], layer.int8_out, shapes)],
    }
    if layer.weight is not None:
        sparse = chosen(layer, flags)
        described |= {
            "Groups": groups(layer.node), "OutMaps": int(layer.weight.shape[0]),
            "Kernel": list(layer.weight.shape[2:]),
            "Weights": {"Type": "Int8" if layer.int8 else "Half", "Count": int(layer.weight.size)},
            "HasSparseWeights": int("SPARSE_WEIGHTS" in flags and eligible(layer)),
        }
        described["TacticName"] = _tactic(layer, sparse)
    else:
        described["TacticName"] = ""
    described |= {"TacticValue": "0x0000000000000000", "StreamId": 0,
                  "Metadata": "\x1e".join(f"[ONNX Layer: {name}]" for name in layer.members)}
    return described


def _type(layer: Layer) -> str:
    return {"Conv": "CaskConvolution", "ConvTranspose": "CaskDeconvolution", "Gemm": "gemm", "MatMul": "gemm",
            "MaxPool": "CaskPooling", "QuantizeLinear": "Reformat"}.get(layer.node.op_type, "kgen")


def _tactic(layer: Layer, sparse: bool) -> str:
    conv, kind = layer.node.op_type.startswith("Conv"), "i8i8_i8i32" if layer.int8 else "f16f16_f16f16"
    tile = "tilesize128x128x64_stage3_warpsize2x2x1"
    if sparse and conv:
        return f"sm80_xmma_fprop_sparse_conv_{kind}_nhwckrsc_nhwc_{tile}_g1_sptensor16x8x64"
    if sparse:
        return f"sm80_xmma_sparse_gemm_{kind}_tn_n_{tile}_sptensor16x8x64"
    if conv:
        return f"sm80_xmma_fprop_implicit_gemm_{kind}_nhwckrsc_nhwc_{tile}_g1_tensor16x8x32"
    return f"sm80_xmma_gemm_{kind}_tn_n_{tile}_tensor16x8x32"


def _end(graph: Graph, name: str, int8: bool, shapes: Shapes | None) -> dict[str, Any]:
    known = graph.tensors.get(name)
    shape = (shapes or {}).get(name, known.shape if known else ())
    words = {"FLOAT": "Float", "HALF": "Half", "BF16": "BFloat16", "INT8": "Int8", "INT32": "Int32", "INT64": "Int64",
             "UINT8": "UInt8", "BOOL": "Bool"}
    kind = words.get(known.type if known else "", "Float")
    text = f"{kind} NHWC" if kind == "Int8" and len(shape) == 4 else f"Row-major linear {kind}"
    if shapes is None and -1 in shape:
        text = "N/A due to dynamic shapes"
    return {"Name": name, "Location": "Device", "Dimensions": list(shape), "Format/Datatype": text}
