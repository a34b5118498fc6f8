"""Which layers' features a student learns from its teacher: late ones, found by the network's structure or named."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from ...common.errors import UserError
from ..eligibility import weight_of

MOST, SHARE = 4, 3
_WHERE = "training: gpusq: critical"


def critical_layers(model: nn.Module, patterns: Sequence[str] = ()) -> list[str]:
    """Paths of the layers whose outputs are compared, in the order of the network.

    Without patterns: of a network of repeated blocks the last third, at most four; of one whose stages repeat blocks
    each (Swin), the last block of the last stage but one and all blocks of the last stage.

    Args:
        model: the float network, without quantizers.
        patterns: shell-style, on module paths; of what one matches, only the outermost modules are taken. Defaults to
            the rule above.

    Raises:
        UserError: a pattern matches nothing, or there are no patterns and no repeated blocks.
    """
    if patterns:
        chosen = {name for pattern in patterns for name in _matched(model, pattern)}
        return [name for name, _ in model.named_modules() if name in chosen]
    found = _late(model)
    if not found:
        raise UserError("This network has no repeated blocks whose features could be learned from.", where=_WHERE,
                        fix="Name layers, such as critical: ['encoder.3'], or set feature: 0.")
    return found


def _matched(model: nn.Module, pattern: str) -> list[str]:
    callable_ = [name for name, module in model.named_modules()
                 if name and not isinstance(module, (nn.ModuleList, nn.ModuleDict))]
    matched = [name for name in callable_ if fnmatchcase(name, pattern)]
    if not matched:
        raise UserError(f"The pattern {pattern!r} matches no layer.", where=_WHERE,
                        fix=f"This network's own choice is: {', '.join(_late(model) or callable_[:5])}.")
    return [name for name in matched if not any(name.startswith(f"{other}.") for other in matched)]


def _late(model: nn.Module) -> list[str]:
    stacks = _stacks(model, "")
    if not stacks:
        return []
    blocks = max(stacks, key=lambda paths: sum(_size(model.get_submodule(path)) for path in paths))
    inner = [_stacks(model.get_submodule(path), f"{path}.") for path in blocks]
    if all(inner):
        stages = [max(found, key=len) for found in inner]
        return [*(stages[-2][-1:] if len(stages) > 1 else []), *stages[-1]]
    return blocks[-min(MOST, -(-len(blocks) // SHARE)):]


def _stacks(model: nn.Module, prefix: str) -> list[list[str]]:
    """Lists of modules of one kind, each with several weighted layers; the outermost ones."""
    found = []
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if _is_stack(child):
            found.append([f"{path}.{index}" for index in child._modules])
        else:
            found += _stacks(child, f"{path}.")
    return found


def _is_stack(module: nn.Module) -> bool:
    blocks = list(module.children()) if isinstance(module, (nn.ModuleList, nn.Sequential)) else []
    alike = len({type(block) for block in blocks}) == 1
    return alike and all(sum(weight_of(part) is not None for part in block.modules()) > 1 for block in blocks)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


__all__ = ["critical_layers"]
