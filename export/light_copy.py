"""Copy a network without its weights: a second copy of 2 GB is what breaks large exports."""

from __future__ import annotations

import copy

from torch import nn


def light_copy(network: nn.Module) -> nn.Module:
    """A float32 copy on the CPU, in eval mode, whose parameters lie in the same memory wherever they are that already.

    Modules, buffers and everything else are copies, so that modules can be swapped and buffers written to; nothing may
    be written into the parameters.
    """
    memo: dict[int, object] = {}
    for parameter in network.parameters():
        there = parameter.detach().cpu()
        value = there.float() if there.is_floating_point() else there
        memo[id(parameter)] = nn.Parameter(value, requires_grad=False)
    copied: nn.Module = copy.deepcopy(network, memo)
    return copied.cpu().float().eval()


__all__ = ["light_copy"]
