"""How small a compressed network is: on paper, as publications count it, and as files.

On paper a group of four INT8 weights that is 2:4 has two codes of 8 bits and two places of 2 bits, 20 bits for 128 in
FP32: 6.4 times smaller. INT4 in pairs has four codes and two places for eight weights, 20 bits for 256: 12.8 times.

The ratio of operations is a convention, no measurement: 32 * 32 over the product of the bits of weights and
activations, twice that with 2:4, so 32 for INT8 and 64 for INT4 with INT8 activations (GPUSQ-ViT, arXiv 2305.10727,
prints 31 and 62).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..common.bundle import MANIFEST, MODEL, WEIGHTS, Layer, Range
from ..common.files import read_json
from ..common.schema import Document

FLOAT, ACTIVATION, PLACE = 32, 8, 2
PAIRS = "2:4 in pairs"
_SUFFIX = ".weight_quantizer"
_LAYERS, _RANGES, _MANIFEST = "layers.json", "ranges.json", f"bundle/{MANIFEST}"


class Kind(Document):
    """Weighted layers that are stored alike.

    Attributes:
        bits: of a weight; 32 where it is not quantized.
        pattern: `2:4`, `2:4 in pairs`, or None where no hardware could leave out zeros.
        layers: how many.
        weights: of all of them.
        bits_per_weight: values and places together, divided by the weights with those that are zero.
        size_ratio: of FP32 to that.
        nominal_flop_ratio: by the convention above.
    """

    bits: int
    pattern: str | None
    layers: int
    weights: int
    bits_per_weight: float
    size_ratio: float
    nominal_flop_ratio: float


class Compression(Document):
    """What compression saves.

    Attributes:
        kinds: the layers, those of most weights first.
        fp32_bytes: of the weights of all weighted layers in FP32.
        nominal_bytes: of the same as `kinds` counts them, without scales and biases.
        nominal_size_ratio: of the two.
        files: real sizes in bytes, by path in the run folder; the ONNX file and its weights together.
    """

    kinds: list[Kind]
    fp32_bytes: int
    nominal_bytes: float
    nominal_size_ratio: float
    files: dict[str, int]


def compression(run: Path, engines: Mapping[str, int]) -> Compression | None:
    """Of the last quantized network in a run folder; None where there is none.

    Args:
        run: the folder.
        engines: their sizes in bytes, by path in the folder.

    Raises:
        UserError: a file is damaged.
    """
    for name in ("qat", "calibrate"):
        if (run / name / _RANGES).is_file():
            content = {_LAYERS: read_json(run / name / _LAYERS), _RANGES: read_json(run / name / _RANGES)}
            break
    else:
        if not (run / _MANIFEST).is_file():
            return None
        manifest = read_json(run / _MANIFEST)
        content = {_LAYERS: manifest["layers"], _RANGES: manifest["ranges"]}
    layers = [Layer.model_validate(item) for item in content[_LAYERS]]
    return counted(layers, [Range.model_validate(item) for item in content[_RANGES]], sizes(run, engines))


def counted(layers: Sequence[Layer], ranges: Sequence[Range], files: Mapping[str, int]) -> Compression | None:
    """The figures of these layers, or None where none has a weight or none is quantized.

    Args:
        layers: of the network.
        ranges: the weights' among them say which layers are quantized, and to how many bits.
        files: bytes by path.
    """
    bits = {item.tensor.removesuffix(_SUFFIX): item.bits for item in ranges if item.tensor.endswith(_SUFFIX)}
    if not bits or not any(layer.shape for layer in layers):
        return None
    groups: dict[tuple[int, str | None], list[int]] = {}
    for layer in layers:
        width = bits.get(layer.name, FLOAT)
        groups.setdefault((width, _pattern(layer, width)), []).append(math.prod(layer.shape))
    kinds = sorted((_kind(*key, weights) for key, weights in groups.items()), key=lambda kind: -kind.weights)
    whole = sum(kind.weights for kind in kinds) * FLOAT // 8
    nominal = sum(kind.weights * kind.bits_per_weight for kind in kinds) / 8
    return Compression(kinds=kinds, fp32_bytes=whole, nominal_bytes=nominal, nominal_size_ratio=whole / nominal,
                       files=dict(files))


def _pattern(layer: Layer, bits: int) -> str | None:
    """Kernels take 2:4 of single codes, or of pairs of INT4 codes; other zeros save nothing."""
    if bits == FLOAT:
        return None
    return "2:4" if layer.sparse else PAIRS if layer.pattern == PAIRS and bits == 4 else None


def _kind(bits: int, pattern: str | None, weights: Sequence[int]) -> Kind:
    places = {None: 0.0, "2:4": PLACE / 2, PAIRS: PLACE / 4}[pattern]
    stored = (bits if pattern is None else bits / 2) + places
    operations = FLOAT * FLOAT / (bits * (FLOAT if bits == FLOAT else ACTIVATION)) * (1 if pattern is None else 2)
    return Kind(bits=bits, pattern=pattern, layers=len(weights), weights=sum(weights), bits_per_weight=stored,
                size_ratio=FLOAT / stored, nominal_flop_ratio=operations)


def sizes(run: Path, engines: Mapping[str, int]) -> dict[str, int]:
    """Bytes of the dense weights, of the bundle's model with its weights, and of the engines, as far as there are."""
    dense, model = run / "dense" / "weights.safetensors", run / "bundle" / MODEL
    found = {"dense/weights.safetensors": [dense], f"bundle/{MODEL}": [model, model.with_name(WEIGHTS)]}
    bytes_of = {name: sum(path.stat().st_size for path in paths if path.is_file()) for name, paths in found.items()}
    return {name: size for name, size in bytes_of.items() if size} | dict(engines)


__all__ = ["Compression", "Kind", "compression", "counted", "sizes"]
