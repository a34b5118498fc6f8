"""The doubles' plan: TensorRT's magic, the release where a real plan has it, a header as JSON, the ONNX, a hash."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

MAGIC = b"ftrt"
_START = struct.Struct("<4sII12x4B")


def write(header: dict[str, Any], model: bytes) -> bytes:
    """The bytes of a plan."""
    text = json.dumps(header).encode()
    numbers = [min(int(number), 255) for number in header["version"].split(".")[:4]]
    body = _START.pack(MAGIC, len(text), len(model), *numbers) + text + model
    return body + hashlib.sha256(body).digest()


def read(plan: Any) -> tuple[dict[str, Any], bytes] | None:
    """Header and ONNX; None if it is no plan, or not whole."""
    raw = memoryview(plan).tobytes()
    if not raw.startswith(MAGIC) or hashlib.sha256(raw[:-32]).digest() != raw[-32:]:
        return None
    _, header, model, *_ = _START.unpack_from(raw)
    text = raw[_START.size:_START.size + header]
    return json.loads(text), raw[_START.size + header:_START.size + header + model]
