"""The layers of a built engine, as TensorRT's engine inspector tells them in JSON. Needs no TensorRT."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...common.errors import UserError

Kind = Literal["int8", "float", "other", "unknown"]

_FIX = "Give what get_engine_information(LayerInformationFormat.JSON), or trtexec --exportLayerInfo, wrote."
_REFORMAT = "Reformatting CopyNode"
_SPARSE = re.compile(r"spars|sptensor|spmma|spgemm|(?<![a-z])sp_(?:mma|gemm)|sphmma|spimma", re.IGNORECASE)
_LIBRARY = re.compile(r"(?:sm[0-9]+|cutlass|xmma|cask|turing|ampere|ada|hopper|blackwell)", re.IGNORECASE)
_OPAQUE = re.compile(r"_|0x[0-9a-f]+$|n/?a$|[0-9]+$", re.IGNORECASE)  # Myelin's own names tell operators, not kernels
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("other", r"fp8|float8|fp4|float4|int4|int32|int64|uint8|bool"),
    ("int8", r"int8|\bi8\b"),
    ("float", r"fp32|fp16|bf16|tf32|half|float"),
)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor between two layers.

    Attributes:
        name: the builder's name of it.
        format: layout and dtype in TensorRT's words, or "" where it doesn't say.
        dims: sizes; -1 is a dynamic one.
    """

    name: str
    format: str
    dims: tuple[int, ...]

    @property
    def kind(self) -> Kind:
        """The dtype in `format`, as far as it matters here."""
        return kind_of(self.format)


@dataclass(frozen=True)
class InspectedLayer:
    """A layer of the engine; many ONNX nodes may have become one, and one node several.

    Attributes:
        name: the builder's name; the profiler uses the same.
        type: the builder's word for it (`CaskConvolution`, `gemm`, `kgen`, `Reformat`), or "" where it doesn't say.
        tactic: name of the kernel, or None where the inspector gives none.
        onnx_nodes: names of the ONNX nodes that it holds; empty where the metadata doesn't say.
        inputs: what it reads.
        outputs: what it writes.
        has_sparse_weights: what the inspector says; it proves nothing about the kernel.
        weights_type: dtype of its weights in TensorRT's words, or None.
        weights_count: number of its weights, or None.
        origin: why a `Reformat` is there, in TensorRT's words, or "".
    """

    name: str
    type: str = ""
    tactic: str | None = None
    onnx_nodes: tuple[str, ...] = ()
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    has_sparse_weights: bool | None = None
    weights_type: str | None = None
    weights_count: int | None = None
    origin: str = ""

    @property
    def tells(self) -> bool:
        """Whether the tactic's name says which kernel runs. Code that Myelin generates is named after operators."""
        return self.tactic is not None and not _OPAQUE.match(self.tactic)

    @property
    def sparse(self) -> bool | None:
        """Whether a sparse kernel runs, by the tactic's name alone; None where that can't be told."""
        if self.tactic is None or not self.tells:
            return None
        if not _SPARSE.search(self.tactic):
            return False
        return True if _LIBRARY.match(self.tactic) else self._sparse_without_names()

    def _sparse_without_names(self) -> bool | None:
        """A generated kernel may be named after a layer, and a layer may be called `sparse_head`: no evidence."""
        tactic = squashed(str(self.tactic))
        for name in {squashed(part) for part in (*self.onnx_nodes, *name_parts(self.name))}:
            if _SPARSE.search(name):
                tactic = tactic.replace(name, "")
        return True if _SPARSE.search(tactic) else None


def parse(text: str) -> list[InspectedLayer]:
    """Read the inspector's JSON, of TensorRT 8.5 to 11.

    An engine that was built without detailed profiling verbosity gives names only; what is missing is None or empty.

    Raises:
        UserError: it is not JSON, or no list of layers.
    """
    try:
        content = json.loads(text, strict=False)  # names may hold control characters
    except (ValueError, RecursionError) as error:
        raise UserError(f"This is not the inspector's JSON ({error}).", fix=_FIX) from error
    layers = content.get("Layers") if isinstance(content, dict) else content
    if not isinstance(layers, list):
        raise UserError("This JSON holds no list of layers.", where="Layers", fix=_FIX)
    return [_layer(layer) for layer in layers if isinstance(layer, (dict, str))]


def _layer(layer: dict[str, Any] | str) -> InspectedLayer:
    if isinstance(layer, str):
        return InspectedLayer(layer, "Reformat" if layer.startswith(_REFORMAT) else "")
    weights = layer.get("Weights")
    stored = weights if isinstance(weights, dict) else {}
    return InspectedLayer(
        name=_text(layer.get("Name")) or "", type=_text(layer.get("LayerType")) or "",
        tactic=_text(layer.get("TacticName")), onnx_nodes=onnx_nodes(_text(layer.get("Metadata")) or ""),
        inputs=_tensors(layer.get("Inputs")), outputs=_tensors(layer.get("Outputs")), has_sparse_weights=_flag(layer),
        weights_type=_text(stored.get("Type")), weights_count=_count(stored.get("Count")),
        origin=_text(layer.get("Origin")) or "",
    )


def onnx_nodes(metadata: str) -> tuple[str, ...]:
    r"""Names in `[ONNX Layer: a][ONNX Layer: b]`; releases put nothing, `\x1e`, `\x1f` or `+` between them."""
    return tuple(
        name
        for piece in re.split("[\x1e\x1f]", metadata)
        for name in re.findall(r"\[ONNX Layer: (.*?)\](?=\s*(?:[\[+,]|$))", piece, re.DOTALL)
    )


def name_parts(name: str) -> tuple[str, ...]:
    """The layers that were fused, off the name alone: `a + b || c`; Myelin writes `a+b_myl0_7`."""
    name = re.sub(r"_myl[0-9]+_[0-9]+$", "", name)
    pattern = r"\s+\+\s+|\s*\|\|\s*" if re.search(r"\s", name) else r"\+"
    return tuple(part for part in re.split(pattern, name) if part)


def squashed(name: str) -> str:
    """As Myelin writes names: dots and whatever else is no word are underscores."""
    return re.sub(r"[^\w/]", "_", name)


def kind_of(text: str) -> Kind:
    """The dtype in one of TensorRT's descriptions, such as `Thirty-two wide ... Int8 format` or `Half`."""
    for kind, pattern in _KINDS:
        if re.search(pattern, text, re.IGNORECASE):
            return kind
    return "unknown"


def _tensors(given: Any) -> tuple[TensorInfo, ...]:
    found = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return tuple(TensorInfo(str(one.get("Name", "")), _format(one), _dims(one.get("Dimensions"))) for one in found)


def _format(tensor: Mapping[str, Any]) -> str:
    keys = ("Format/Datatype", "Format", "Datatype", "DataType")
    return " ".join(str(tensor[key]) for key in keys if isinstance(tensor.get(key), str))


def _dims(given: Any) -> tuple[int, ...]:
    whole = isinstance(given, list) and all(isinstance(size, int) for size in given)
    return tuple(given) if whole else ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _flag(layer: Mapping[str, Any]) -> bool | None:
    value = layer.get("HasSparseWeights", layer.get("AllowSparse"))  # the latter up to 8.5
    return bool(value) if isinstance(value, int) else None


__all__ = ["InspectedLayer", "Kind", "TensorInfo", "kind_of", "name_parts", "onnx_nodes", "parse", "squashed"]
