"""Pictures with a class for each pixel: the picture's own where it lies on a cluttered canvas, 0 around it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .clutter import Clutter
from .loaders import Batch

_INK = 0.25  # of the full strength; less is the blurred edge


@dataclass(frozen=True)
class Masks:
    """Call it with a batch of pictures and their classes.

    Attributes:
        clutter: makes the canvases.
        mean: taken off every pixel.
        deviation: that every pixel is then divided by.
    """

    clutter: Clutter
    mean: torch.Tensor
    deviation: torch.Tensor

    def __call__(self, images: torch.Tensor, kinds: torch.Tensor) -> Batch:
        """(N, 1, h, w) of 0 to 1 and (N,) above 0 -> (N, 1, size, size) and classes, int64 (N, size, size)."""
        canvas, ink = self.clutter.with_ink(images)
        return (canvas - self.mean) / self.deviation, (ink[:, 0] >= _INK).long() * kinds[:, None, None]


__all__ = ["Masks"]
