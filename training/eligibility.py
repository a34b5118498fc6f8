"""Which layers are pruned to 2:4, and why the others are not.

The rule is what sparse kernels take: outputs a multiple of 8, reduction axis a multiple of 16, no groups.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from ..common.bundle import Layer
from ..common.errors import UserError
from .config import LayersConfig

_CONV, _TRANSPOSE = (nn.Conv1d, nn.Conv2d, nn.Conv3d), (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# pytorch-quantization derives its convolutions from _ConvNd alone
_KINDS = (*_CONV, *_TRANSPOSE, nn.Linear, nn.MultiheadAttention, nn.modules.conv._ConvNd)
OUTPUTS, REDUCTION, GROUP = 8, 16, 4


def list_layers(model: nn.Module, config: LayersConfig, group: int = GROUP) -> list[Layer]:
    """Every weighted layer, with whether it is pruned and why.

    Args:
        model: its quantizers, if it has some, make no difference.
        config: patterns that overrule the rule; `exclude` wins over `include`.
        group: weights of a pattern's group, of which the reduction axis must be a multiple. Defaults to 4, for 2:4.

    Returns:
        The layers in the order of the network.

    Raises:
        UserError: a pattern matches no layer, or one that can't be pruned at all is included.
    """
    found = {name: module for name, module in model.named_modules() if isinstance(module, _KINDS)}
    readers = {name for name, module in found.items() if isinstance(module, nn.MultiheadAttention)}
    for pattern in (*config.include, *config.exclude):
        _matches_some(pattern, found)
    return [_layer(name, module, config, _inside(name, readers), group) for name, module in found.items()]


def _matches_some(pattern: str, names: Iterable[str]) -> None:
    names = list(names)
    if any(fnmatchcase(name, pattern) for name in names):
        return
    near = difflib.get_close_matches(pattern, names, 3, 0.3) or names[:3]
    raise UserError(
        f"The pattern {pattern!r} matches no layer.",
        where="training: layers",
        fix=f"The nearest names are: {', '.join(near)}." if near else "This network has no Conv or Linear layer.",
    )


def _inside(name: str, readers: set[str]) -> bool:
    return any(name.startswith(reader + ".") for reader in readers)


def _layer(name: str, module: nn.Module, config: LayersConfig, hidden: bool, group: int) -> Layer:
    sparse, reason = _verdict(name, module, config, hidden, group)
    kind = next(kind.__name__ for kind in _KINDS if isinstance(module, kind)).replace("_ConvNd", _convolution(module))
    weight = weight_of(module)
    shape = [] if weight is None else list(weight.shape)
    return Layer(name=name, kind=kind, shape=shape, sparse=sparse, reason=reason)


def weight_of(module: nn.Module) -> nn.Parameter | None:
    """The stored weight, not its quantized image."""
    weight = module._parameters.get("weight", module._parameters.get("in_proj_weight"))
    return weight if isinstance(weight, nn.Parameter) else None


def reduction_axis(module: nn.Module) -> int:
    """The weight's axis that is summed over: input channels or features."""
    return 0 if getattr(module, "transposed", False) else 1


def _convolution(module: nn.Module) -> str:
    """What PyTorch calls a convolution of this rank."""
    return f"Conv{'Transpose' if reduction_axis(module) == 0 else ''}{len(getattr(module, 'kernel_size', ()))}d"


def sizes(module: nn.Module) -> tuple[int, int]:
    """Outputs, and the values summed over per group of a convolution (input channels, kernel positions apart)."""
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    if isinstance(module, nn.modules.conv._ConvNd):
        return module.out_channels, module.in_channels // module.groups
    raise TypeError(type(module).__name__)


def _verdict(name: str, module: nn.Module, config: LayersConfig, hidden: bool, group: int) -> tuple[bool, str]:
    if isinstance(module, nn.MultiheadAttention) or hidden:
        return False, "nn.MultiheadAttention reads its weights itself, without its layers"
    if any(fnmatchcase(name, pattern) for pattern in config.exclude):
        return False, "excluded by the recipe"
    outputs, reduction = sizes(module)
    if any(fnmatchcase(name, pattern) for pattern in config.include):
        return _included(name, reduction, group)
    if getattr(module, "groups", 1) > 1:
        return False, f"a grouped convolution ({getattr(module, 'groups', 1)} groups)"
    if outputs % OUTPUTS:
        return False, f"its {outputs} outputs are no multiple of {OUTPUTS}"
    for multiple in (REDUCTION, group):
        if reduction % multiple:
            return False, f"its reduction axis of {reduction} is no multiple of {multiple}"
    return True, f"{outputs} outputs, reduction axis of {reduction}"


def _included(name: str, reduction: int, group: int) -> tuple[bool, str]:
    if reduction % group:
        raise UserError(
            f"This layer can't be pruned in groups of {group}: its reduction axis of {reduction} is no multiple of it.",
            where=f"training: layers: include: {name}",
            fix="Take it out of `include`.",
        )
    return True, "included by the recipe"


__all__ = ["list_layers", "reduction_axis", "sizes", "weight_of"]
