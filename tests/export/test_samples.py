from __future__ import annotations

import weakref
from typing import Any

import numpy as np
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


def sorted_by_class(per_class: int = 30) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Ten classes, one after the other; every input is the sample's own number."""
    numbers = torch.arange(10 * per_class)
    return [(part[:, None].float(), part // per_class) for part in numbers.split(7)]


def test_samples_are_drawn_from_the_whole_loader_in_its_order() -> None:
    inputs, targets = collect(Net(), sorted_by_class(), 100)
    assert inputs["left"].shape == (100, 1)
    assert set(targets.tolist()) == set(range(10))
    assert (inputs["left"][:, 0] // 30 == targets).all()
    assert (inputs["left"][1:, 0] > inputs["left"][:-1, 0]).all()
    again, _ = collect(Net(), sorted_by_class(), 100)
    assert (again["left"] == inputs["left"]).all()


def test_all_samples_of_a_small_loader_are_kept_with_their_types() -> None:
    for count in (300, 1000):
        inputs, targets = collect(Net(), sorted_by_class(), count)
        assert inputs["left"][:, 0].tolist() == list(range(300))
        assert (inputs["left"].dtype, targets.dtype) == ("float32", "int64")


def test_no_batch_is_held_longer_than_its_turn() -> None:
    batches: list[Any] = []

    def loader() -> Any:
        for number in range(20):
            array = np.full((8, 4), number, np.float32)
            batches.append(weakref.ref(array))
            yield torch.from_numpy(array), torch.zeros(8)
            del array
            assert sum(batch() is not None for batch in batches) <= 2

    assert len(collect(Net(), loader(), 160)[1]) == 160


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
