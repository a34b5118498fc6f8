"""Small networks for the demo recipes, built only of layers that quantize, prune and export well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..common.errors import UserError
from .layers import Add


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, (N, C, H, W) -> (N, width, H / stride, W / stride)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(channels, width, stride)
        self.add = Add()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Residual branch plus shortcut, then ReLU."""
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.add(branch, self.shortcut(x)))


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if channels == width and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


class ResNet(nn.Module):
    """Stem, stages of residual blocks, global average, linear classifier: (N, channels, H, W) -> (N, classes)."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int], blocks: int, stem_stride: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, widths[0], 3, stem_stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.body = nn.Sequential(*_blocks(widths, blocks))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (N, classes)."""
        features = self.body(F.relu(self.bn(self.stem(x))))
        logits: torch.Tensor = self.head(F.adaptive_avg_pool2d(features, 1).flatten(1))
        return logits


def _blocks(widths: Sequence[int], blocks: int) -> list[ResidualBlock]:
    layers, channels = [], widths[0]
    for stage, width in enumerate(widths):
        for index in range(blocks):
            layers.append(ResidualBlock(channels, width, 2 if stage and index == 0 else 1))
            channels = width
    return layers


def tiny_resnet(
    classes: int = 10, channels: int = 1, widths: Sequence[int] = (32, 64, 128), blocks: int = 3, stem_stride: int = 1
) -> ResNet:
    """A ResNet with batch norm; every stage after the first halves height and width.

    `widths=(64, 128, 256, 512), blocks=2, channels=3` has the body of a ResNet-18.

    Args:
        classes: number of logits. Defaults to 10.
        channels: of the picture. Defaults to 1.
        widths: channels of each stage; multiples of 16 can be pruned to 2:4. Defaults to (32, 64, 128).
        blocks: residual blocks of each stage. Defaults to 3.
        stem_stride: of the first convolution. Defaults to 1.

    Raises:
        UserError: no width, or a number that is not positive.
    """
    if not widths or min((*widths, classes, channels, blocks, stem_stride)) < 1:
        raise UserError("tiny_resnet needs at least one width, and numbers above zero.", where="model.args")
    return ResNet(channels, classes, tuple(widths), blocks, stem_stride)


class Attention(nn.Module):
    """Multi-head self-attention with four linear layers, (N, T, dim) -> (N, T, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Softmax attention over the T tokens."""
        q, k, v = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)
        mixed: torch.Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return mixed

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


class EncoderBlock(nn.Module):
    """Pre-norm transformer block, (N, T, dim) -> (N, T, dim).

    Its residual stream stays float: the adds feed float LayerNorms, so quantizers there would only cost time.
    """

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), Attention(dim, heads)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention and a GELU perceptron, each with a residual add."""
        x = x + self.attention(self.norm1(x))
        added: torch.Tensor = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return added


class ViT(nn.Module):
    """Vision transformer: patches through a linear layer, encoder blocks, mean over tokens, linear classifier."""

    def __init__(self, size: int, patch: int, channels: int, classes: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Linear(channels * patch * patch, dim)
        self.position = nn.Parameter(torch.randn(1, (size // patch) ** 2, dim) * 0.02)
        self.blocks = nn.Sequential(*(EncoderBlock(dim, heads, 2 * dim) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, size, size) -> logits, float32 (N, classes)."""
        tokens = self.embed(self._patches(x)) + self.position
        logits: torch.Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits

    def _patches(self, x: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = x.shape
        side = self.patch
        tiles = x.reshape(count, channels, height // side, side, width // side, side)
        return tiles.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def tiny_vit(
    classes: int = 10, size: int = 16, patch: int = 4, channels: int = 1, dim: int = 64, depth: int = 4, heads: int = 4
) -> ViT:
    """A pre-norm vision transformer; its patch embedding is a Linear over channels * patch * patch values.

    Args:
        classes: number of logits. Defaults to 10.
        size: height and width of the picture in pixels. Defaults to 16.
        patch: height and width of a patch. Defaults to 4.
        channels: of the picture. Defaults to 1.
        dim: width of a token, a multiple of 16 to be pruned to 2:4. Defaults to 64.
        depth: encoder blocks. Defaults to 4.
        heads: attention heads; they divide `dim`. Defaults to 4.

    Raises:
        UserError: `size` is no multiple of `patch`, or `dim` of `heads`, or a number is not positive.
    """
    if min(classes, size, patch, channels, dim, depth, heads) < 1 or size % patch or dim % heads:
        raise UserError(
            "tiny_vit needs numbers above zero, a size that divides by patch and a dim that divides by heads.",
            where="model.args",
        )
    return ViT(size, patch, channels, classes, dim, depth, heads)


__all__ = ["ResNet", "ViT", "tiny_resnet", "tiny_vit"]
