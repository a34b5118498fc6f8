from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from twofour.common.agreement import snr_db
from twofour.common.errors import UserError
from twofour.export import trial
from twofour.export.config import ExportConfig
from twofour.export.dynamic import dynamic_axes
from twofour.export.torch_onnx import export

SIZES = ["batch", "height", "width"]
EXPORTERS = ["dynamo", "torchscript"]


class Net(nn.Module):
    """Convolutions and an average: any size will do; subclasses spoil it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> Any:
        hidden = torch.relu(self.conv(x))
        return {"map": hidden, "logits": self.head(hidden).mean((2, 3)), "more": (hidden.mean(1), {"last": x * 2})}


class FixedBatch(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x)).reshape(len(x.tolist()), -1)


class IntOfBatch(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x)).reshape(int(x.shape[0]), -1)


class IntOfShape(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height = int(x.shape[2])
        assert isinstance(height, int)
        return self.head(nn.functional.pad(self.conv(x), (0, 0, 0, max(int("3") - height % 2, 0)))).mean((2, 3))


class OneSize(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] != 8:
            raise ValueError("I take a height of 8")
        return self.head(self.conv(x)).mean((2, 3))


class Odd(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if x.shape[2] % 2 == 0 else 3 - 5 * x
        return self.head(self.conv(x)).mean((2, 3))


def made(kind: type[nn.Module], quantize: Any) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    example = torch.randn(2, 3, 8, 8)
    return quantize(kind(), (example,)), example


@pytest.mark.parametrize("exporter", [pytest.param("dynamo", marks=pytest.mark.slow), "torchscript"])
def test_a_network_runs_at_any_size(quantize: Any, run: Any, exporter: str) -> None:
    network, example = made(Net, quantize)
    model = export(network, example, ExportConfig(exporter=exporter, dynamic=SIZES))
    assert [str(size) for size in model.graph.inputs[0].shape] == ["batch", "3", "height", "width"]
    other = torch.randn(3, 3, 13, 6)
    with torch.no_grad():
        wanted = network(other)
    found = run(model, {"x": other.numpy()})
    assert list(found) == ["logits", "map", "more_0", "more_1_last"]
    pairs = {"logits": wanted["logits"], "map": wanted["map"], "more_1_last": wanted["more"][1]["last"]}
    for name, value in pairs.items():
        ratio = snr_db(value.numpy(), found[name])
        assert ratio is None or ratio > 30


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_with_a_dynamic_batch_alone_every_other_size_is_known(quantize: Any, exporter: str) -> None:
    model = export(*made(Net, quantize), ExportConfig(exporter=exporter))
    shapes = {value.name: [str(size) for size in value.shape] for value in model.graph.outputs}
    assert shapes["logits"] == ["batch", "4"]
    assert shapes["map"] == ["batch", "8", "8", "8"]
    assert shapes["more_1_last"] == ["batch", "3", "8", "8"]


@pytest.mark.slow
def test_int_of_a_shape_does_not_fix_it(quantize: Any, run: Any) -> None:
    network, example = made(IntOfShape, quantize)
    model = export(network, example, ExportConfig(dynamic=SIZES))
    other = torch.randn(1, 3, 12, 10)
    with torch.no_grad():
        np.testing.assert_allclose(run(model, {"x": other.numpy()})["logits"], network(other).numpy(), atol=1e-5)
    assert "int" not in globals()


def test_int_of_the_batch_does_not_fix_it(quantize: Any, run: Any) -> None:
    network, example = made(IntOfBatch, quantize)
    model = export(network, example, ExportConfig())
    assert run(model, {"x": torch.randn(5, 3, 8, 8).numpy()})["logits"].shape == (5, 256)


@pytest.mark.parametrize("kind", [IntOfBatch, FixedBatch])
def test_a_batch_that_torchscript_bakes_in_is_found(quantize: Any, kind: type[nn.Module]) -> None:
    with pytest.raises(UserError, match="can't be exported with a dynamic batch") as raised:
        export(*made(kind, quantize), ExportConfig(exporter="torchscript"))
    assert "x.shape[0]" in str(raised.value.fix)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_network_of_one_size_says_so_in_its_own_words(quantize: Any, exporter: str) -> None:
    network, example = made(OneSize, quantize)
    with pytest.raises(UserError, match=r"dynamic height: in PyTorch it refuses.*I take a height of 8") as raised:
        export(network, example, ExportConfig(exporter=exporter, dynamic=SIZES))
    assert raised.value.where == "export.dynamic"


def test_a_decision_on_the_size_is_warned_of(quantize: Any, capsys: pytest.CaptureFixture[str]) -> None:
    network, example = made(Odd, quantize)
    export(network, example, ExportConfig(exporter="torchscript", dynamic=SIZES))
    said = capsys.readouterr().err
    assert "At an odd height the graph does not answer as PyTorch does" in said
    assert "odd width" not in said


@pytest.mark.parametrize(("ratio", "warned"), [(84.0, False), (31.0, False), (12.0, True)])
def test_flipped_codes_at_an_odd_size_are_no_decision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, warned: bool
) -> None:
    def found(_session: Any, case: trial.Elsewhere, least: float) -> float:
        here = ratio if case.odd else 134.0
        if here < least:
            raise UserError(f"dynamic: {here} dB")
        return here

    monkeypatch.setattr(trial, "_ratio", found)
    trial._judge(None, [trial.Elsewhere("batch", {}, {}), trial.Elsewhere("height", {}, {}, odd=True)])
    assert ("At an odd height" in capsys.readouterr().err) == warned


def test_only_pictures_have_a_height() -> None:
    inputs = {"x": torch.zeros(2, 3, 4, 4), "mask": torch.zeros(2, 7)}
    assert dynamic_axes(inputs, SIZES) == {"x": {0: "batch", 2: "height", 3: "width"}, "mask": {0: "batch"}}
    with pytest.raises(UserError, match=r"No input has a width: .* these have mask 2"):
        dynamic_axes({"mask": torch.zeros(2, 7)}, ["batch", "width"])
