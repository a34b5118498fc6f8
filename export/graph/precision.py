"""Choose the float type of everything that isn't quantized, as a strongly typed engine takes it from the graph.

Scales of FP16 have 11 bits, of BF16 8. On digits ResNets and ViTs, each quantizer fed with the master's own values,
rounding scale and input moved 0.3 % (ResNet) and 0.5 % (ViT) of the codes by one step in FP16, 2.2 % and 5.1 % in
BF16; down the whole network that adds up to 11 % and 19 % in FP16, 13 % and 29 % in BF16 (41.5, 42.9, 39.1 and 39.4
dB on the outputs). With FP32 scales and FP32 between DQ and Q, a network of nothing but quantized layers keeps its
codes (at most 0.1 % move; 61 dB in FP16, 52 dB in BF16), one that computes much in floats doesn't (18 % and 26 %). So
BF16 takes FP32 scales. FP16 takes its own: operators that an engine doesn't compute in one kernel with a layer would
move twice the bytes in FP32, and one prediction of 1536 changed. Codes of weights never change, even where an engine
rounds the quotient to FP16; one that rounded it to BF16 would change 3 % of them if the scales were BF16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, ShapeInferencePass

from ...common.errors import TwofourError, UserError
from .floats import FLOATS, Rest
from .islands import Island, decide
from .passes import Pass
from .retype import retype
from .save import weight_bytes
from .two_four import Sparsity, check

Scales = Literal["auto", "rest", "fp32"]
OLDEST, NEWEST = 19, 21
_CONVERTIBLE_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Typing:
    """What `type_rest` did.

    Attributes:
        rest: the float type of what isn't quantized.
        islands: nodes that stay FP32, each with the reason.
        casts: number of Cast nodes that were added.
    """

    rest: Rest
    islands: list[Island] = field(default_factory=list)
    casts: int = 0


def type_rest(model: ir.Model, rest: Rest, largest: Mapping[str, float], scales: Scales = "auto") -> Typing:
    """Type a master graph (FP32 with INT8 Q/DQ), in place.

    Inputs and outputs of the graph stay FP32, as do names of nodes and quantizers and the integer codes of weights.
    All inputs of a node agree, a Q's scale has the type of its input, and no Cast stands between a DQ, the layer that
    it feeds and the Q behind that layer. A Q whose input is FP32 anyway keeps its FP32 scale, and so its codes.

    Args:
        model: opset 19 or newer; an older one is converted to 21.
        rest: `fp16`, `bf16`, or `fp32`, which changes nothing.
        largest: largest magnitude of tensors by name, measured in FP32 on real inputs; what isn't there is believed
            to fit, but for sums and integers.
        scales: type of the scales, and so of the layers between DQ and Q: that of the rest, or `fp32`, which leaves
            codes alone where layers follow each other in integers. Defaults to that of the rest for FP16, and to
            `fp32` for BF16, whose 8 bits would move too many codes (see above).

    Returns:
        What was done. A large weight that stays FP32 stays on disk.

    Raises:
        UserError: the opset is older than 19 and the weights are too large to convert it, or it can't be converted.
        TwofourError: Q, DQ or the 2:4 pattern of a weight would change.
    """
    if rest not in FLOATS:
        return Typing(rest)
    before = check(model)
    found: list[Typing] = []

    def change(model: ir.Model) -> int:
        _prepare(model)
        keep = scales == "fp32" or (scales == "auto" and rest == "bf16")
        decision = decide(model, FLOATS[rest], largest, keep_quantized=keep)
        casts = retype(model, decision, FLOATS[rest])
        found.append(Typing(rest, decision.islands, casts))
        return casts

    Pass("type_rest", change, "kept")(model)
    _compare(before, check(model))
    return found[0]


def _prepare(model: ir.Model) -> None:
    if model.opset_imports.get("", 1) < OLDEST:
        _convert(model)
    LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=0)(model)
    ShapeInferencePass(strict_mode=False, data_prop=True)(model)


def _convert(model: ir.Model) -> None:
    """Opset 21: before 19, Q and DQ have no 16-bit scales."""
    opset = model.opset_imports.get("", 1)
    fix = f"Set export.opset to {NEWEST} in the recipe and export again, or build with rest: fp32."
    if weight_bytes(model) > _CONVERTIBLE_BYTES:
        raise UserError(f"Opset {opset} has no 16-bit scales, and a model of this size can't be converted.", fix=fix)
    ir.external_data.load_to_model(model)
    try:
        converted = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(model), NEWEST))
    except Exception as error:  # the converter raises whatever its C++ does
        reason = str(error).strip().splitlines()[-1:]
        raise UserError(f"Opset {opset} has no 16-bit scales, and the model can't be converted to {NEWEST} "
                        f"({''.join(reason)}).", fix=fix) from error
    model.graph, model.ir_version = converted.graph, max(model.ir_version, 10)


def _compare(before: list[Sparsity], after: list[Sparsity]) -> None:
    """A float weight may lose numbers to underflow; a quantized one may lose nothing."""
    for old, new in zip(before, after, strict=True):
        same = old == new if old.quantized else (old.name, old.two_four) == (new.name, new.two_four)
        if not same:
            raise TwofourError(f"The graph pass 'type_rest' changed the weight: {old.reason}; now {new.reason}.",
                               where=old.name)


__all__ = ["NEWEST", "OLDEST", "Island", "Typing", "type_rest"]
