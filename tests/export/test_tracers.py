from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from twofour.export.config import ExportConfig
from twofour.export.torch_onnx import export
from twofour.export.tracers import torchscript


class Tied(nn.Module):
    """A weight of two layers, a weight that nothing reads, and buffers that the state dict holds or leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.idle = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.register_buffer("kept", torch.randn(8))
        self.register_buffer("left_out", torch.randn(8), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.relu(self.one(x) * self.kept + self.left_out))


class Outer(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.network(x),)


def test_torchscript_s_weights_are_the_network_s_own_memory() -> None:
    network = Tied().eval()
    model = torchscript(Outer(network), {"x": torch.randn(2, 8)}, ["y"], {"x": {0: "batch"}}, 20)
    assert [value.name for value in model.graph.inputs] == ["x"]
    stored = {value.name: value.const_value for value in model.graph.initializers.values()}
    assert stored.keys() == {"network.one.weight", "network.one.bias", "network.kept"}
    for name, tensor in stored.items():
        assert tensor is not None
        assert np.shares_memory(tensor.numpy(), network.get_parameter(name[8:]).detach().numpy()
                                if "kept" not in str(name) else network.kept.numpy())


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_shared_weights_and_every_kind_of_buffer_get_there(run: Any, exporter: Any) -> None:
    network, x = Tied().eval(), torch.randn(5, 8)
    model = export(network, x, ExportConfig(exporter=exporter))
    with torch.no_grad():
        np.testing.assert_allclose(run(model, {"x": x.numpy()})["logits"], network(x).numpy(), atol=1e-5)
