"""A request to try the server with."""

from __future__ import annotations

import json
import math
import shlex

from ...common.bundle import Tensor
from .batching import Batching
from .source import Source
from .tensors import datatype

_ZEROS = {"BOOL": "False", "FP32": "0.0", "FP64": "0.0"}
_BINARY = {"FP16", "BF16"}  # have no form in JSON


def example(address: str, source: Source, batching: Batching) -> str | None:
    """A shell line that asks the server for one sample of zeros.

    Args:
        address: the model's address (`localhost:8000/v2/models/NAME`).
        source: for the inputs' names and dtypes.
        batching: for the shapes of the inputs.

    Returns:
        The line, or None where a shape isn't known or a dtype has no form in JSON.
    """
    tensors = source.bundle.manifest.inputs
    kinds = {one.name: datatype(one, source.backend) for one in tensors}
    if _BINARY & set(kinds.values()) or any(name not in batching.shapes for name in kinds):
        return None
    inputs = ", ".join(_input(one, kinds[one.name], batching) for one in tensors)
    program = f'import json; print(json.dumps({{"inputs": [{inputs}]}}))'
    return f"python3 -c {shlex.quote(program)} | curl -s --data-binary @- {address}/infer"


def _input(tensor: Tensor, kind: str, batching: Batching) -> str:
    shape = _request_shape(batching.shapes[tensor.name], batching)
    fields = {"name": tensor.name, "shape": shape, "datatype": kind}
    return f"dict({json.dumps(fields)}, data=[{_ZEROS.get(kind, '0')}] * {math.prod(shape)})"


def _request_shape(shape: list[int], batching: Batching) -> list[int]:
    return [1, *(shape[1:] or [1])] if batching.most else shape


__all__ = ["example"]
