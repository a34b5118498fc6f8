"""How large the values are that each weight is multiplied with, over the calibration loader.

Source of the score |weight| * norm: Sun et al., "A simple and effective pruning approach for large language models"
(Wanda), arXiv 2306.11695.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ...calibrate.batches import answer, checked
from ...common import console


@torch.no_grad()
def input_norms(model: nn.Module, names: Sequence[str], loader: Iterable[Any]) -> dict[str, torch.Tensor]:
    """L2 norms over all samples and places, by module path, of a shape that broadcasts to the module's weight.

    Linear: (1, in). Convolution: (1, in, *kernel), or (out, in / groups, *kernel) where it has groups, of the very
    values that each kernel position reads, with padding, stride and dilation. Transposed convolution: (in, 1, ...), of
    the input's channels. A layer that the network never calls has no entry.

    Args:
        model: its mode is put back afterwards.
        names: paths of Linear and convolution modules.
        loader: yields (inputs, targets).

    Raises:
        UserError: the loader is empty or a batch can't be used.
    """
    sums: dict[str, torch.Tensor] = {}

    def add(name: str, module: nn.Module, value: torch.Tensor) -> None:
        squares = _squares(module, value.detach().double().square())
        sums[name] = sums[name] + squares if name in sums else squares

    hooks = [_listen(model.get_submodule(name), name, add) for name in names]
    training = model.training
    try:
        _run(model.eval(), loader)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return {name: total.sqrt().float() for name, total in sums.items()}


def _listen(module: nn.Module, name: str, add: Any) -> Any:
    """Hears what the layer itself gets: after hooks that came before, such as the unfolding of a patch embedding."""
    return module.register_forward_pre_hook(lambda layer, args: add(name, layer, args[0]))


def _run(model: nn.Module, loader: Iterable[Any]) -> None:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with console.progress("activations on calibration", None) as advance:
        for index, inputs, _ in checked(loader, "calibration"):
            answer(model, inputs.to(device), f"calibration loader, batch {index}")
            advance(1)


def _squares(module: nn.Module, squares: torch.Tensor) -> torch.Tensor:
    if not isinstance(module, nn.modules.conv._ConvNd):
        return squares.flatten(0, -2).sum(0)[None]
    rank = len(module.kernel_size)
    if squares.ndim == rank + 1:
        squares = squares[None]
    if module.transposed:
        total = squares.transpose(0, 1).flatten(1).sum(1)
        return total.view(-1, 1, *[1] * rank)
    return _read(module, _padded(module, squares))


def _padded(module: Any, squares: torch.Tensor) -> torch.Tensor:
    around = module._reversed_padding_repeated_twice
    return F.pad(squares, around, mode="constant" if module.padding_mode == "zeros" else module.padding_mode)


def _read(module: Any, squares: torch.Tensor) -> torch.Tensor:
    """Sums of what each kernel position reads, as a convolution with one-hot kernels would pick it."""
    channels, kernel = module.in_channels, module.kernel_size
    for axis, (size, stride, dilation) in enumerate(zip(kernel, module.stride, module.dilation, strict=True)):
        place = 2 + axis
        count = (squares.shape[place] - dilation * (size - 1) - 1) // stride + 1
        starts = torch.arange(size, device=squares.device) * dilation
        steps = torch.arange(count, device=squares.device) * stride
        read = squares.index_select(place, (starts[:, None] + steps).flatten())
        squares = read.reshape(*read.shape[:place], size, count, *read.shape[place + 1:]).sum(place + 1)
    total = squares.sum(0).view(module.groups, channels // module.groups, *kernel)
    return total if module.groups == 1 else total.repeat_interleave(module.out_channels // module.groups, dim=0)


__all__ = ["input_norms"]
