"""Small generators and a discriminator for the demo recipes; generators of layers that quantize, prune and export."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ..common.errors import UserError
from .layers import Add

_START = 4  # height and width where a generator begins and a discriminator ends


class Up(nn.Module):
    """Transposed convolution that doubles height and width, batch norm and ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, width, 2 H, 2 W)."""
        return F.relu(self.bn(self.conv(x)))


class Down(nn.Module):
    """Convolution, batch norm and ReLU; with stride 2 it halves height and width."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> (N, width, H / stride, W / stride)."""
        return F.relu(self.bn(self.conv(x)))


class Generator(nn.Module):
    """Noise through a linear stem to 4 by 4, transposed convolutions up to the picture's size, tanh."""

    def __init__(self, noise: int, size: int, channels: int, width: int) -> None:
        super().__init__()
        doublings = (size // _START).bit_length() - 1
        widths = [width * 2 ** min(index, 1) for index in reversed(range(doublings + 1))]
        self.shape = (widths[0], _START, _START)
        self.stem = nn.Linear(noise, widths[0] * _START * _START, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.body = nn.Sequential(*(Up(before, after) for before, after in pairwise(widths)))
        self.out = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(N, noise) -> pictures, float32 (N, channels, size, size) in [-1, 1]."""
        x = self.stem(z).unflatten(1, self.shape)
        return torch.tanh(self.out(self.body(F.relu(self.bn(x)))))


class Translator(nn.Module):
    """Encoder and decoder with two halvings, and a sum with the encoder's picture at each size on the way back."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stem, self.down1, self.down2 = Down(channels, width, 1), Down(width, width, 2), Down(width, 2 * width, 2)
        self.middle = Down(2 * width, 2 * width, 1)
        self.up1, self.up2 = Up(2 * width, width), Up(width, width)
        self.add1, self.add2 = Add(), Add()
        self.out = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> pictures of the same shape in [-1, 1]; H and W multiples of 4."""
        whole = self.stem(x)
        half = self.down1(whole)
        quarter = self.middle(self.down2(half))
        half = self.add1(self.up1(quarter), half)
        return torch.tanh(self.out(self.add2(self.up2(half), whole)))


class Discriminator(nn.Module):
    """Convolutions that halve height and width down to 4, LeakyReLU, and a linear layer: one logit, of being real.

    Attributes:
        conditional: it is given the input picture too, before the picture that it judges, on the channel axis.
    """

    def __init__(self, channels: int, size: int, width: int, conditional: bool) -> None:
        super().__init__()
        self.conditional = conditional
        halvings = (size // _START).bit_length() - 1
        seen = channels * (2 if conditional else 1)
        widths = [seen, *(width * 2 ** min(index, 1) for index in range(halvings))]
        self.body = nn.Sequential(
            *(nn.Conv2d(before, after, 4, 2, 1) for before, after in pairwise(widths))
        )
        self.head = nn.Linear(widths[-1] * _START * _START, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, size, size), or twice the channels -> logits (N, 1)."""
        for layer in self.body:
            x = F.leaky_relu(layer(x), 0.2)
        logits: torch.Tensor = self.head(x.flatten(1))
        return logits


def tiny_generator(noise: int = 32, size: int = 16, channels: int = 1, width: int = 32) -> Generator:
    """A generator in the manner of DCGAN, (N, noise) -> (N, channels, size, size) in [-1, 1].

    Args:
        noise: values of a sample; a multiple of 16 lets the stem be 2:4. Defaults to 32.
        size: height and width of the picture: 8, 16 or 32. Defaults to 16.
        channels: of the picture. Defaults to 1.
        width: channels of the largest layer, twice as many before it; multiples of 16 can be pruned to 2:4. Defaults
            to 32.

    Raises:
        UserError: a number that is not possible.

    Source: Radford, Metz and Chintala, "Unsupervised representation learning with DCGANs", arXiv 1511.06434.
    """
    _check("tiny_generator", "model.args", size, noise, channels, width)
    return Generator(noise, size, channels, width)


def tiny_translator(channels: int = 1, width: int = 32) -> Translator:
    """A small U-Net whose skips are sums, (N, channels, H, W) -> the same shape in [-1, 1].

    Args:
        channels: of both pictures. Defaults to 1.
        width: channels of the outer layers, twice as many inside; multiples of 16 can be pruned to 2:4. Defaults to 32.

    Raises:
        UserError: a number that is not positive.
    """
    _check("tiny_translator", "model.args", 8, channels, width)
    return Translator(channels, width)


def tiny_discriminator(
    channels: int = 1, size: int = 16, width: int = 32, conditional: bool = False
) -> Discriminator:
    """A discriminator without normalisation, for either of the generators: (N, channels, size, size) -> (N, 1).

    Args:
        channels: of the picture. Defaults to 1.
        size: height and width of the picture: 8, 16 or 32. Defaults to 16.
        width: channels of the first layer, twice as many after it. Defaults to 32.
        conditional: look at the input picture too. Defaults to False.

    Raises:
        UserError: a number that is not possible.
    """
    _check("tiny_discriminator", "gan.discriminator.args", size, channels, width)
    return Discriminator(channels, size, width, conditional)


def _check(name: str, where: str, size: int, *numbers: int) -> None:
    if size not in (8, 16, 32) or min(numbers) < 1:
        raise UserError(f"{name} needs a size of 8, 16 or 32 and numbers above zero.", where=where)


__all__ = ["Discriminator", "Generator", "Translator", "tiny_discriminator", "tiny_generator", "tiny_translator"]
