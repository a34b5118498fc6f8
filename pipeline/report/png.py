"""Pictures inside the page: PNG files written as data addresses. Format: RFC 2083."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_LARGEST = 192  # pixels of a side; more would only make the page heavy
_GRAY, _COLOUR = 0, 2
_BITS = 8


def data_address(picture: Array, low: float, high: float) -> tuple[str, int, int]:
    """One picture as `data:image/png;base64,...`, with its width and height in pixels.

    Args:
        picture: (H, W), (1, H, W) or (3, H, W), any float dtype; of other numbers of channels the first one is shown.
        low: the value that is black; values below are black too, and so is NaN.
        high: the value that is white.
    """
    channels = np.asarray(picture, np.float64).reshape(-1, *picture.shape[-2:])
    channels = _smaller(channels if len(channels) == 3 else channels[:1])
    share = np.nan_to_num((channels - low) / (high - low or 1.0), nan=0.0)
    pixels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    height, width = pixels.shape[:2]
    return f"data:image/png;base64,{base64.b64encode(_png(pixels)).decode()}", width, height


def _smaller(channels: Array) -> Array:
    """Means of squares of pixels, so that no side is longer than is shown."""
    times = -(-max(channels.shape[1:]) // _LARGEST)
    down, across = (min(times, size) for size in channels.shape[1:])
    height, width = channels.shape[1] // down, channels.shape[2] // across
    cut = channels[:, : height * down, : width * across]
    smaller: Array = cut.reshape(len(channels), height, down, width, across).mean((2, 4))
    return smaller


def _png(pixels: Array) -> bytes:
    height, width, channels = pixels.shape
    kind = _COLOUR if channels == 3 else _GRAY
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)  # 0: not filtered
    header = struct.pack(">IIBBBBB", width, height, _BITS, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, *zip(*parts, strict=True)))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


__all__ = ["data_address"]
