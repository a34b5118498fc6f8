"""The networks of the table: the structure of the published ones with fresh weights, small enough for two cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

CLASSES = 10


@dataclass(frozen=True)
class Architecture:
    """One row.

    Attributes:
        name: what the table calls it.
        build: makes it, with fresh weights.
        shape: of one input, without the batch.
        other: another height and width, to be tried where both are dynamic; None where the input is no picture.
        size: what was made smaller than in the published network.
        scores: its first output holds scores of classes. Defaults to yes.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    other: tuple[int, int] | None
    size: str
    scores: bool = True


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm and ReLU, (N, C, H, W) -> (N, width, H, W)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """ReLU after each."""
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class UNet(nn.Module):
    """Encoder, decoder of transposed convolutions, a concat at every level: (N, 3, H, W) -> (N, classes, H, W)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = Block(3, widths[0])
        self.down = nn.ModuleList(Block(upper, lower) for upper, lower in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(lower, upper, 2, 2) for upper, lower in reversed(pairs))
        self.merge = nn.ModuleList(Block(2 * upper, upper) for upper, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], CLASSES, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the classes for every pixel."""
        x, skips = self.stem(x), []
        for block in self.down:
            skips.append(x)
            x = block(nn.functional.max_pool2d(x, 2))
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


class Generator(nn.Module):
    """DCGAN's generator: (N, latent, 1, 1) -> (N, 3, 32, 32), values from -1 to 1."""

    def __init__(self, latent: int, width: int) -> None:
        super().__init__()
        widths = [latent, 4 * width, 2 * width, width]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, 2 if index else 1, 1 if index else 0, bias=False)
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(after) for after in widths[1:])
        self.picture = nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The picture."""
        for up, norm in zip(self.up, self.norm, strict=True):
            z = torch.relu(norm(up(z)))
        return torch.tanh(self.picture(z))


def transformers_model(name: str, **fields: Any) -> nn.Module:
    """A model of transformers as it is, its answer an output of several tensors."""
    import transformers

    transformers.logging.set_verbosity_error()
    made = getattr(transformers, name)
    return made(made.config_class(**{"num_labels": CLASSES, **fields}))


def detr() -> nn.Module:
    """DETR on transformers' own ResNet, which needs no timm."""
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[32, 64, 96, 128], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    return transformers_model(
        "DetrForObjectDetection", backbone_config=backbone, d_model=64, num_queries=16, encoder_layers=2,
        decoder_layers=2, encoder_ffn_dim=128, decoder_ffn_dim=128, encoder_attention_heads=4,
        decoder_attention_heads=4,
    )


_VIT = {
    "hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 192, "image_size": 64,
    "patch_size": 8,
}
_model = partial(partial, transformers_model)

ARCHITECTURES = [
    Architecture(
        "ResNet",
        _model(
            "ResNetForImageClassification", embedding_size=32, hidden_sizes=[32, 64, 128, 256], depths=[2, 2, 2, 2],
            layer_type="basic",
        ),
        (3, 64, 64), (96, 64), "ResNet-18 at half the width",
    ),
    Architecture(
        "MobileNetV2", _model("MobileNetV2ForImageClassification", depth_multiplier=0.5, image_size=64),
        (3, 64, 64), (96, 64), "half the width",
    ),
    Architecture(
        "ConvNeXt", _model("ConvNextForImageClassification", hidden_sizes=[32, 64, 128, 256], depths=[2, 2, 4, 2]),
        (3, 64, 64), (96, 64), "a third of the width and about half the depth of ConvNeXt-T",
    ),
    Architecture("ViT", _model("ViTForImageClassification", **_VIT), (3, 64, 64), (96, 64), "96 wide, 4 blocks"),
    Architecture("DeiT", _model("DeiTForImageClassification", **_VIT), (3, 64, 64), (96, 64), "96 wide, 4 blocks"),
    Architecture(
        "Swin",
        _model(
            "SwinForImageClassification", embed_dim=32, depths=[2, 2, 2], num_heads=[2, 4, 8], window_size=4,
            image_size=64, patch_size=4,
        ),
        (3, 64, 64), (128, 64), "a third of the width of Swin-T, stages of 2, 2 and 2 blocks, windows of 4",
    ),
    Architecture(
        "SegFormer",
        _model("SegformerForSemanticSegmentation", hidden_sizes=[32, 64, 96, 128], num_attention_heads=[1, 2, 4, 8],
               depths=[1, 1, 1, 1], decoder_hidden_size=64),
        (3, 64, 64), (96, 64), "about half the width and half the depth of SegFormer-B0",
    ),
    Architecture("DETR", detr, (3, 64, 64), (96, 64), "64 wide, 2 + 2 layers, 16 queries, ResNet of 4 blocks"),
    Architecture("U-Net", partial(UNet, (32, 64, 128, 256)), (3, 64, 64), (96, 64), "half the width, 3 levels"),
    Architecture("DCGAN", partial(Generator, 96, 64), (96, 1, 1), None, "96 latent values, 32 x 32 pictures",
                 scores=False),
]

__all__ = ["ARCHITECTURES", "CLASSES", "Architecture", "Block", "Generator", "UNet"]
