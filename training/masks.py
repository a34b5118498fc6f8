"""2:4 masks: in every aligned group of four weights along the reduction axis, the two of largest magnitude stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..common.bundle import Layer
from .eligibility import GROUP, reduction_axis, weight_of

KEPT = 2


def two_four_mask(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """Keep 2 of 4 by magnitude; of equal magnitudes the first ones along the axis stay.

    Args:
        weight: any shape; the axis a multiple of 4.
        axis: the reduction axis.

    Returns:
        Bool of the same shape, exactly two True in each aligned group of four.

    Source: Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378.
    """
    moved = weight.detach().abs().movedim(axis, -1)
    groups = moved.reshape(-1, GROUP)
    order = groups.sort(dim=1, descending=True, stable=True).indices[:, :KEPT]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, order, True)
    return mask.view(moved.shape).movedim(-1, axis).contiguous()


def is_two_four(weight: torch.Tensor, axis: int) -> bool:
    """Every aligned group of four along the axis has at most two weights that are not zero."""
    if weight.shape[axis] % GROUP:
        return False
    groups = (weight.detach() != 0).movedim(axis, -1).reshape(-1, GROUP)
    return bool((groups.sum(1) <= KEPT).all())


def magnitude_masks(model: nn.Module, layers: Sequence[Layer]) -> dict[str, torch.Tensor]:
    """Masks for the layers that are to be sparse, by parameter name (`body.0.conv1.weight`)."""
    return {f"{layer.name}.weight": two_four_mask(*_weight(model, layer)) for layer in layers if layer.sparse}


def found_masks(model: nn.Module, layers: Sequence[Layer]) -> dict[str, torch.Tensor]:
    """Masks of the layers that could be sparse and whose weights are 2:4 already, from their exact zeros."""
    eligible = {layer.name: _weight(model, layer) for layer in layers if layer.sparse}
    return {f"{name}.weight": weight != 0 for name, (weight, axis) in eligible.items() if is_two_four(weight, axis)}


def _weight(model: nn.Module, layer: Layer) -> tuple[torch.Tensor, int]:
    module = model.get_submodule(layer.name)
    weight = weight_of(module)
    assert weight is not None, layer.name
    return weight.detach(), reduction_axis(module)


class MaskKeeper:
    """Holds masked weights at zero through any optimizer, weight averaging and resume.

    Attach it to the optimizer: gradients are masked before each step, so that momentum gathers nothing there, and
    weights after it.

    Args:
        model: the network, or a wrapper such as `torch.optim.swa_utils.AveragedModel`.
        masks: bool by parameter name; names may lack the wrapper's prefix.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
        parameters = dict(model.named_parameters())
        self._pairs = [(_named(parameters, name), mask) for name, mask in masks.items()]
        self._pairs = [(weight, mask.to(weight.device)) for weight, mask in self._pairs]

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zero the gradients of pruned weights."""
        for weight, mask in self._pairs:
            if weight.grad is not None:
                weight.grad.mul_(mask)

    @torch.no_grad()
    def apply(self) -> None:
        """Zero the pruned weights."""
        for weight, mask in self._pairs:
            weight.masked_fill_(~mask, 0.0)

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Do both around every step of `optimizer`."""
        optimizer.register_step_pre_hook(lambda *_: self.mask_gradients())
        optimizer.register_step_post_hook(lambda *_: self.apply())


def _named(parameters: Mapping[str, Any], name: str) -> nn.Parameter:
    for prefix in ("", "module.", "_orig_mod.", "module._orig_mod."):
        if prefix + name in parameters:
            return parameters[prefix + name]  # type: ignore[no-any-return]
    raise KeyError(f"no parameter called {name}")


__all__ = ["MaskKeeper", "found_masks", "is_two_four", "magnitude_masks", "two_four_mask"]
