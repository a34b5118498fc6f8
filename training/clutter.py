"""Cluttered pictures from clean ones: each is warped and placed on a larger canvas, among fragments of others.

Everything is drawn from PyTorch's global random state, a whole batch at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

_KNOTS = 4  # of the coarse field of an elastic warp, along each axis
_WINDOW = 0.22  # half the side of a fragment, the canvas being 2 wide


@dataclass(frozen=True)
class Clutter:
    """Call it with a batch of pictures.

    Attributes:
        pool: pictures that fragments are cut from, float (M, 1, h, w) of 0 to 1.
        size: height and width of the canvas in pixels.
        share: of the canvas's width that a picture takes, on average.
        degrees: largest rotation either way.
        warp: standard deviation of the elastic warp, as a share of half the picture's width.
        fragments: how many are strewn over each canvas.
        noise: standard deviation of the noise at every pixel.
    """

    pool: torch.Tensor
    size: int = 24
    share: float = 0.7
    degrees: float = 15.0
    warp: float = 0.08
    fragments: int = 4
    noise: float = 0.12

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 1, h, w) of 0 to 1 -> (N, 1, size, size), about 0 to 1 with noise."""
        return self.with_ink(images)[0]

    def with_ink(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The canvas, and what of it is the picture: its ink as it was placed, full strength, (N, 1, size, size)."""
        ink = self._picture(images)
        canvas = ink * _uniform(0.7, 1.0, len(images), 1, 1, 1)
        for _ in range(self.fragments):
            canvas = torch.maximum(canvas, self._fragment(len(images)))
        return canvas + self.noise * torch.randn_like(canvas), ink

    def _picture(self, images: torch.Tensor) -> torch.Tensor:
        count = len(images)
        room = 1 - self.share
        places = self._places(count, _uniform(-room, room, count, 1, 1, 2))
        coarse = self.warp * torch.randn(count, 2, _KNOTS, _KNOTS)
        field = F.interpolate(coarse, (self.size, self.size), mode="bicubic", align_corners=True)
        return _sample(images, places + field.permute(0, 2, 3, 1))

    def _fragment(self, count: int) -> torch.Tensor:
        others = self.pool[torch.randint(len(self.pool), (count,))]
        centre = _uniform(-1.0, 1.0, count, 1, 1, 2)
        places = self._places(count, centre) + _uniform(-0.6, 0.6, count, 1, 1, 2)
        inside = ((_canvas(self.size) - centre).abs() < _WINDOW).all(-1)[:, None]
        return _sample(others, places) * inside * _uniform(0.5, 0.9, count, 1, 1, 1)

    def _places(self, count: int, centre: torch.Tensor) -> torch.Tensor:
        """Where in the picture each pixel of the canvas looks, (N, size, size, 2), -1 to 1."""
        angle = _uniform(-1.0, 1.0, count) * math.radians(self.degrees)
        turn = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), 1).view(-1, 1, 2, 2)
        scale = _uniform(0.85, 1.15, count, 1, 1, 1) / self.share
        offsets = (_canvas(self.size) - centre).flatten(1, 2)
        return (offsets[..., None, :] @ turn).view(count, self.size, self.size, 2) * scale


def _canvas(size: int) -> torch.Tensor:
    """Coordinates of the pixels' centres, (1, size, size, 2), x before y."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]


def _uniform(low: float, high: float, *shape: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(*shape)


def _sample(images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(images, places, align_corners=False)


__all__ = ["Clutter"]
