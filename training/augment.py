"""Small random rotations, scalings and shifts of a whole batch at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def jitter(images: torch.Tensor, degrees: float = 10.0, scale: float = 0.1, shift: float = 0.1) -> torch.Tensor:
    """Move every picture of a batch by its own random affine map; what comes in from outside is the border repeated.

    Args:
        images: float (N, C, H, W).
        degrees: largest rotation either way. Defaults to 10.
        scale: largest change of size either way, as a share. Defaults to 0.1.
        shift: largest shift either way, as a share of the picture. Defaults to 0.1.

    Returns:
        The same shape and dtype, interpolated bilinearly.
    """
    draw = torch.rand(4, len(images)) * 2 - 1
    angle, size = draw[0] * math.radians(degrees), 1 + draw[1] * scale
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    rows = torch.stack((cos, -sin, draw[2] * 2 * shift, sin, cos, draw[3] * 2 * shift), 1).view(-1, 2, 3)
    grid = F.affine_grid(rows.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


__all__ = ["jitter"]
