from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=2)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class ResNet(nn.Module):
    """Convolutions, residual adds, a transposed convolution, a Linear, and a Conv that is not quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.Sequential(Block(16), Block(16))
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.head = nn.Linear(8, 10)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        y = self.up(self.body(torch.relu(self.stem(picture))))
        return self.head(torch.relu(y).mean((2, 3)))


class ViT(nn.Module):
    """Attention, LayerNorm, GELU, and a Linear on a sequence: MatMul with a turned weight."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.norm = nn.LayerNorm(16)
        self.qkv = nn.Linear(16, 48)
        self.proj = nn.Linear(16, 16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        q, k, v = self.qkv(self.norm(x)).reshape(x.shape[0], -1, 3, 2, 8).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.proj(y)
        return self.head((x + self.mlp(x))[:, 0])


def prune(network: nn.Module, names: list[str]) -> None:
    """Magnitude 2:4 along the input channels."""
    for name in names:
        module = network.get_submodule(name)
        axis = 0 if isinstance(module, nn.ConvTranspose2d) else 1
        with torch.no_grad():
            moved = module.weight.movedim(axis, -1)
            groups = moved.reshape(*moved.shape[:-1], -1, 4)
            keep = torch.zeros_like(groups).scatter_(-1, groups.abs().topk(2, dim=-1).indices, 1)
            module.weight.copy_((groups * keep).reshape(moved.shape).movedim(-1, axis))


def quantized(network: nn.Module, example: Any) -> nn.Module:
    """ModelOpt's INT8: per channel for weights, per tensor for activations and transposed convolutions."""
    import modelopt.torch.quantization as mtq

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    settings = copy.deepcopy(mtq.INT8_DEFAULT_CFG)
    call = (lambda net: net(**example)) if isinstance(example, dict) else (lambda net: net(*example))
    result = mtq.quantize(network.eval(), settings, call)
    for module in result.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.weight_quantizer.reset_amax()
            module.weight_quantizer.axis = None
            module.weight_quantizer.amax = module.weight.detach().abs().max()
    return result


@pytest.fixture(scope="session")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    network = ResNet()
    prune(network, ["body.0.conv1", "body.1.conv1", "body.1.conv2", "up", "head"])
    network = quantized(network, (torch.randn(16, 3, 8, 8),))
    for quantizer in (network.stem.input_quantizer, network.stem.weight_quantizer):
        quantizer.disable()
    return network


@pytest.fixture(scope="session")
def vit() -> nn.Module:
    torch.manual_seed(0)
    return quantized(ViT(), (torch.randn(16, 3, 8, 8),))


@pytest.fixture(scope="session")
def pictures() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A loader of 3 batches."""
    random = torch.Generator().manual_seed(1)
    return [
        (torch.randn(count, 3, 8, 8, generator=random), torch.randint(0, 10, (count,), generator=random))
        for count in (8, 8, 5)
    ]


def infer(model: ir.Model, inputs: dict[str, Any], *extra: str) -> dict[str, Any]:
    """Outputs by name, and the values called `extra`, by ONNX Runtime without optimizations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(model)
    for name in extra:
        proto.graph.output.add().name = name
    session = ort.InferenceSession(proto.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {name: np.asarray(value) for name, value in inputs.items()}), strict=True))


@pytest.fixture(scope="session")
def run() -> Callable[..., dict[str, Any]]:
    return infer


@pytest.fixture(scope="session")
def quantize() -> Callable[..., nn.Module]:
    return quantized
