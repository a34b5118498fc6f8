"""Patch embeddings as unfold and Linear, so that they can be 2:4.

A convolution whose stride is its kernel looks at each patch once: it is a Linear over the values of a patch. As a
convolution its reduction axis are the input channels, 3 of a picture, which is no multiple of 4; as a Linear it is
channels * height * width of the patch, 768 for the patches of a ViT.

The axis runs over channels first, then rows, then columns, as the convolution's weight does when it is flattened: a
group of four are neighbours in one channel, which hold nearly the same value, so that two can go at little loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

AXIS = 16


def is_patch_embedding(module: nn.Module) -> bool:
    """A convolution that can be a Linear over patches, and gains by it: as a convolution it can't be 2:4."""
    if type(module) is not nn.Conv2d or "weight" not in module._parameters or _has_hooks(module):
        return False
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding in ((0, 0), "valid")
    if not plain or module.kernel_size != module.stride:
        return False
    return module.in_channels % AXIS != 0 and module.weight[0].numel() % AXIS == 0


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def patches_as_linear(model: nn.Module) -> list[str]:
    """Replace every patch embedding of `model` by a Linear of the same name, in place; the function stays the same.

    `weight` becomes (out, channels * height * width), `bias` stays. The Linear takes and gives what the convolution
    did, (N, channels, H, W) -> (N, out, H / height, W / width); rows and columns that fill no patch are left out.

    Returns:
        The paths of the layers that were replaced.
    """
    made: dict[nn.Module, nn.Linear] = {}
    replaced = []
    for path, parent in list(model.named_modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and is_patch_embedding(child):
                assert isinstance(child, nn.Conv2d)
                parent._modules[name] = made.setdefault(child, _linear(child))
                replaced.append(f"{path}.{name}".removeprefix("."))
    return replaced


def _linear(conv: nn.Conv2d) -> nn.Linear:
    with torch.device("meta"):  # draws no random numbers
        linear = nn.Linear(conv.weight[0].numel(), conv.out_channels, bias=False)
    linear.weight = nn.Parameter(conv.weight.detach().flatten(1).clone(), conv.weight.requires_grad)
    linear.register_parameter("bias", conv._parameters["bias"])
    linear.patch = conv.kernel_size  # type: ignore[assignment]
    linear.register_forward_pre_hook(_unfold)
    linear.register_forward_hook(_fold)
    return linear.train(conv.training)


def _unfold(linear: nn.Module, args: tuple[torch.Tensor, ...]) -> torch.Tensor:
    height, width = linear.patch  # type: ignore[misc]
    picture = _whole(_whole(args[0], 2, height), 3, width)
    tiles: torch.Tensor = nn.Unflatten(3, (-1, width))(picture)
    tiles = nn.Unflatten(2, (-1, height))(tiles)
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(3)


def _whole(picture: torch.Tensor, axis: int, side: int) -> torch.Tensor:
    size: Any = picture.shape[axis]  # a SymInt where it is dynamic: asking it would fix it
    if not isinstance(size, torch.SymInt) and int(size) % side == 0:
        return picture
    return picture.narrow(axis, 0, size // side * side)


def _fold(_linear: nn.Module, _args: Any, output: torch.Tensor) -> torch.Tensor:
    return output.permute(0, 3, 1, 2)


def fit_patches(model: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict in the form that the network has: embeddings as convolutions or as Linear.

    Args:
        model: where the tensors are to go.
        state: by name; only weights of patch embeddings and their quantizers' ranges are changed.
    """
    fitted = dict(state)
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d) or hasattr(module, "patch"):
            for name in ("weight", "weight_quantizer._amax"):
                _reshape(fitted, f"{path}.{name}".removeprefix("."), _shape(module, name))
    return fitted


def _shape(module: nn.Module, name: str) -> torch.Size | None:
    own = module.state_dict().get(name)
    return None if own is None else own.shape


def _reshape(state: dict[str, torch.Tensor], key: str, shape: torch.Size | None) -> None:
    given = state.get(key)
    if given is None or shape is None or given.ndim == len(shape) or {given.ndim, len(shape)} != {2, 4}:
        return
    if given.shape[0] == shape[0] and given.numel() == shape.numel():
        state[key] = given.reshape(shape)


__all__ = ["fit_patches", "is_patch_embedding", "patches_as_linear"]
