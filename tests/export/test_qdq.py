from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from twofour.common.errors import UserError
from twofour.export.qdq import Marker, describe, is_quantizer, marked_copy


class TensorQuantizer(nn.Module):
    """The attributes that pytorch-quantization's quantizer has."""

    def __init__(self, amax: Any, axis: int | None = None, **changes: Any) -> None:
        super().__init__()
        self._disabled, self._num_bits, self._if_quant, self._if_calib = False, 8, True, False
        self._narrow_range, self._unsigned, self._fake_quant, self._axis = True, False, True, axis
        self._limit = None if amax is None else torch.as_tensor(amax, dtype=torch.float32)
        for name, value in changes.items():
            setattr(self, name, value)

    @property
    def amax(self) -> torch.Tensor | None:
        return self._limit

    @property
    def axis(self) -> int | None:
        return self._axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_both_libraries_quantizers_are_known(resnet: nn.Module) -> None:
    assert is_quantizer(TensorQuantizer(1.0))
    assert is_quantizer(resnet.head.input_quantizer)
    assert not is_quantizer(resnet.head)


def test_ranges_and_axes_of_modelopt(resnet: nn.Module) -> None:
    weight = describe(resnet.body[0].conv1.weight_quantizer, "w")
    assert (weight.axis, weight.amax.shape) == (0, (16,))
    activation = describe(resnet.head.input_quantizer, "x")
    assert (activation.axis, activation.amax.shape) == (None, ())


def test_a_range_per_channel_may_be_flat_or_spread() -> None:
    assert describe(TensorQuantizer([1.0, 2.0], axis=0), "q").axis == 0
    assert describe(TensorQuantizer([[[[1.0]], [[2.0]]]]), "q").axis == 1
    np.testing.assert_array_equal(describe(TensorQuantizer([[1.0], [2.0]]), "q").amax, [1, 2])


@pytest.mark.parametrize(("quantizer", "message"), [
    (TensorQuantizer(None), "never calibrated"),
    (TensorQuantizer(float("nan")), "NaN"),
    (TensorQuantizer([1.0, -1.0], axis=0), "negative"),
    (TensorQuantizer(1.0, _num_bits=4), "num_bits = 4"),
    (TensorQuantizer(1.0, _unsigned=True), "unsigned = True"),
    (TensorQuantizer([[1.0, 2.0], [3.0, 4.0]]), "more than one axis"),
])
def test_what_can_t_be_written_is_named(quantizer: nn.Module, message: str) -> None:
    network = nn.Sequential(nn.Sequential(quantizer))
    with pytest.raises(UserError, match=message) as raised:
        marked_copy(network, torchscript=True)
    assert raised.value.where == "0.0"


def test_disabled_quantizers_vanish_and_shared_ones_stay_shared() -> None:
    shared = TensorQuantizer(1.0)
    network = nn.ModuleDict({"a": shared, "b": shared, "c": TensorQuantizer(None, _disabled=True)})
    copied, found = marked_copy(network, torchscript=False)
    assert list(found) == ["a"]
    assert isinstance(copied["a"], Marker)
    assert isinstance(copied["c"], nn.Identity)
    assert network["a"] is shared
