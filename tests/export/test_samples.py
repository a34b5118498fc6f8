from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.export.samples import collect, named_inputs, named_outputs


class Net(nn.Module):
    def forward(self, left: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return left


def test_names_come_from_forward() -> None:
    x = torch.ones(1)
    assert list(named_inputs(Net(), x)) == ["left"]
    assert list(named_inputs(Net(), (x, x, x))) == ["left", "rest_0", "rest_1"]
    assert list(named_inputs(Net(), {"ids": x})) == ["ids"]
    assert list(named_outputs((x, x))) == ["output_0", "output_1"]
    assert list(named_outputs({"logits": x, "loss": None})) == ["logits"]


@pytest.mark.parametrize("inputs", [{"x": 3}, {}, ["a"]])
def test_inputs_that_are_no_tensors(inputs: Any) -> None:
    with pytest.raises(UserError, match="no tensors"):
        named_inputs(Net(), inputs)


def test_too_many_inputs() -> None:
    with pytest.raises(UserError, match=r"gives 2 inputs.*takes 1"):
        named_inputs(nn.Linear(1, 1), (torch.ones(1), torch.ones(1)))


def test_outputs_without_a_tensor() -> None:
    with pytest.raises(UserError, match="NoneType"):
        named_outputs(None)


def test_samples_are_joined_and_cut() -> None:
    loader = [(torch.full((3, 2), float(i)), torch.full((3,), i)) for i in range(4)]
    inputs, targets = collect(Net(), loader, 7)
    assert inputs["left"].shape == (7, 2)
    assert targets.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert len(collect(Net(), loader, 100)[1]) == 12


@pytest.mark.parametrize(("loader", "message"), [
    ([], "empty"),
    ([torch.ones(2)], "must yield"),
    ([(torch.ones(2, 1), torch.ones(3))], "batch 0.*differ"),
    ([(torch.ones(2, 1), torch.ones(2)), (torch.ones(2, 3), torch.ones(2))], "left has different shapes"),
    ([({"a": torch.ones(1)}, torch.ones(1)), ({"b": torch.ones(1)}, torch.ones(1))], "different inputs"),
])
def test_bad_loaders(loader: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        collect(Net(), loader, 10)
