"""2:4 masks: in every aligned group of four weights along the reduction axis, the two of largest magnitude stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..common.bundle import Layer
from ..common.errors import UserError
from .eligibility import GROUP, reduction_axis, weight_of
from .pruning.pattern import Grouped

KEPT = 2
_TWO_FOUR = Grouped(KEPT, GROUP)


def two_four_mask(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """Keep 2 of 4 by magnitude; of equal magnitudes the first ones along the axis stay.

    Args:
        weight: any shape; the axis a multiple of 4.
        axis: the reduction axis.

    Returns:
        Bool of the same shape, exactly two True in each aligned group of four.

    Source: Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378.
    """
    return _TWO_FOUR.mask(weight.abs(), axis)


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
    weights after it. As with NVIDIA's ASP this happens inside the step: what clips gradients before it sees those of
    pruned weights too. An optimizer that is given a closure, as LBFGS must be, gets masked gradients from every call.

    Args:
        model: the network, or a wrapper such as `torch.optim.swa_utils.AveragedModel`.
        masks: bool by parameter name; names may lack the wrapper's prefix.

    Attributes:
        masks: by name, on the weights' devices; changed by `set`.
        weights: by the same names.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
        parameters = dict(model.named_parameters())
        self.weights = {name: _named(parameters, name) for name in masks}
        self.masks = {name: mask.to(self.weights[name].device, copy=True) for name, mask in masks.items()}
        self._factors = {name: torch.empty_like(weight, requires_grad=False) for name, weight in self.weights.items()}
        self.set(masks)

    @torch.no_grad()
    def set(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Hold other masks of the same names and shapes from now on."""
        for name, mask in masks.items():
            self.masks[name].copy_(mask)
            self._factors[name].copy_(mask)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Zero the gradients of pruned weights."""
        found = {name: weight.grad for name, weight in self.weights.items() if weight.grad is not None}
        if found:
            torch._foreach_mul_(list(found.values()), [self._factors[name] for name in found])

    @torch.no_grad()
    def apply(self) -> None:
        """Zero the pruned weights, whatever they are."""
        for name, weight in self.weights.items():
            weight.masked_fill_(~self.masks[name], 0.0)

    @torch.no_grad()
    def hold(self) -> None:
        """The same, many times faster; what is NaN or infinite becomes NaN, and is seen."""
        if self.weights:
            torch._foreach_mul_(list(self.weights.values()), list(self._factors.values()))

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Do both around every step of `optimizer`."""
        optimizer.register_step_pre_hook(self._before)
        optimizer.register_step_post_hook(lambda *_: self.hold())

    def _before(self, _optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.mask_gradients()
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            return None
        return (args[0], self._masked(closure)), {}

    def _masked(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        def masked() -> Any:
            self.hold()
            loss = closure()
            self.mask_gradients()
            return loss

        return masked


@contextmanager
def pruned(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The network is masked while the block runs, and gets its weights back."""
    keeper = MaskKeeper(model, masks)
    kept = {name: weight.detach().clone() for name, weight in keeper.weights.items()}
    keeper.apply()
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in keeper.weights.items():
                weight.copy_(kept[name])


def fit_masks(model: nn.Module, masks: Mapping[str, torch.Tensor], where: str) -> None:
    """Refuse masks that are not those of this very network's weights.

    Raises:
        UserError: a name or shape is not the network's, or a weight that is not zero would be pruned.
    """
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        weight = parameters.get(name)
        if weight is None:
            what = f"the network has no weight called {name}"
        elif weight.shape != mask.shape:
            what = f"{name} is {tuple(weight.shape)} in the network and {tuple(mask.shape)} in the masks"
        elif bool(weight.detach()[~mask].any()):
            what = f"weights of {name} that they prune are not zero"
        else:
            continue
        raise UserError(f"These masks are another model's: {what}.", where=where, fix="Run the sparse stage again.")


def _named(parameters: Mapping[str, Any], name: str) -> nn.Parameter:
    for prefix in ("", "module.", "_orig_mod.", "module._orig_mod."):
        if prefix + name in parameters:
            return parameters[prefix + name]  # type: ignore[no-any-return]
    raise KeyError(f"no parameter called {name}")


__all__ = ["MaskKeeper", "fit_masks", "found_masks", "is_two_four", "magnitude_masks", "pruned", "two_four_mask"]
