"""A small U-Net: a class for each pixel.

Source: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", arXiv 1505.04597; here
with batch norm, and padded so that the answer has the picture's size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..common.errors import UserError


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU: (N, C, H, W) -> (N, width, H, W)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both in turn."""
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Up(nn.Module):
    """Twice the size by a transposed convolution, beside what was skipped: (N, C, H, W) -> (N, width, 2H, 2W)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.larger = nn.ConvTranspose2d(channels, width, 2, 2)
        self.both = DoubleConv(2 * width, width)

    def forward(self, x: torch.Tensor, skipped: torch.Tensor) -> torch.Tensor:
        """`skipped` is (N, width, 2H, 2W)."""
        joined: torch.Tensor = self.both(torch.cat((skipped, self.larger(x)), 1))
        return joined


class UNet(nn.Module):
    """Down by pooling, up again with skips, a 1x1 classifier: (N, channels, H, W) -> (N, classes, H, W)."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            DoubleConv(before, width) for before, width in zip((channels, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(Up(widths[level + 1], widths[level]) for level in reversed(range(len(widths) - 1)))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (N, classes, H, W)."""
        levels: list[torch.Tensor] = []
        for index, down in enumerate(self.down):
            levels.append(down(F.max_pool2d(levels[-1], 2) if index else x))
        x = levels.pop()
        for up in self.up:
            x = up(x, levels.pop())
        logits: torch.Tensor = self.head(x)
        return logits


def tiny_unet(classes: int = 2, channels: int = 1, widths: Sequence[int] = (16, 32, 64)) -> UNet:
    """A U-Net with batch norm; height and width must divide by 2 for each width after the first.

    Args:
        classes: of a pixel. Defaults to 2.
        channels: of the picture. Defaults to 1.
        widths: channels of each level; multiples of 16 can be pruned to 2:4. Defaults to (16, 32, 64).

    Raises:
        UserError: fewer than two widths, or a number that is not positive.
    """
    if len(widths) < 2 or min((*widths, classes, channels)) < 1:
        raise UserError("tiny_unet needs at least two widths, and numbers above zero.", where="model.args")
    return UNet(channels, classes, tuple(widths))


__all__ = ["UNet", "tiny_unet"]
