"""The rule that `placement: tensorrt-sparse` adds: outputs of 2:4 layers are quantized.

Sparse INT8 kernels write INT8. A layer whose output nobody quantizes gets a quantizer at the end of what is fused with
it (batch normalisation, activation, residual sum).
"""

from __future__ import annotations

from collections.abc import Iterable

from .draft import Draft
from .graph import Call


def place_outputs(draft: Draft, sparse: Iterable[str]) -> None:
    """Quantize the outputs of the layers that can be 2:4; not what the network returns.

    Args:
        draft: with the rules of `tensorrt` done.
        sparse: the layers' paths.
    """
    names = draft.weighted & set(sparse)
    for call in [call for call in draft.graph.calls if call.name in names and call.outputs]:
        last, tensor = _last(draft, call)
        if not _covered(draft, tensor) and not _returned(draft, tensor):
            draft.quantize_output(last)


def _last(draft: Draft, call: Call) -> tuple[Call, int]:
    """The last call that is fused with a layer and can be given a quantizer, and the tensor that leaves it."""
    last, tensor = call, call.outputs[0]
    while (reader := draft.graph.sole_reader(tensor)) is not None and _is_fused(draft, *reader):
        tensor = reader[0].outputs[0]
        if reader[0].kind != "same":
            last = reader[0]
    return last, last.outputs[0]


def _is_fused(draft: Draft, call: Call, operand: int) -> bool:
    if draft.has((call, operand)) or not call.outputs:
        return False
    skip_is_quantized = any(draft.has((call, other)) for other in range(len(call.inputs)))
    return call.kind in ("norm", "same", "activation") or (call.kind == "add" and skip_is_quantized)


def _covered(draft: Draft, tensor: int) -> bool:
    ends = list(draft.graph.ends(tensor, ("view", "same", "slice")))
    return tensor not in draft.graph.results and bool(ends) and all(draft.has(end) for end in ends)


def _returned(draft: Draft, tensor: int) -> bool:
    moved = [out for call, _ in draft.graph.readers[tensor] if call.kind in ("view", "same") for out in call.outputs]
    return tensor in draft.graph.results or any(_returned(draft, out) for out in moved)


__all__ = ["place_outputs"]
