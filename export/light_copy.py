"""Copy a network without its weights: a second copy of 2 GB is what breaks large exports."""

from __future__ import annotations

import copy

from torch import nn

from ..common.errors import UserError


def light_copy(network: nn.Module) -> nn.Module:
    """A float32 copy on the CPU, in eval mode, whose parameters lie in the same memory wherever they are that already.

    Modules, buffers and everything else are copies, so that modules can be swapped and buffers written to; nothing may
    be written into the parameters.

    Raises:
        UserError: the network holds what can't be copied, such as a lock or an open file.
    """
    memo: dict[int, object] = {}
    for parameter in network.parameters():
        there = parameter.detach().cpu()
        value = there.float() if there.is_floating_point() else there
        memo[id(parameter)] = nn.Parameter(value, requires_grad=False)
    try:
        copied: nn.Module = copy.deepcopy(network, memo)
    except Exception as error:  # whatever the objects in the network raise
        raise UserError(f"The network can't be copied, as an export has to ({type(error).__name__}: {error}).",
                        where="model", fix="Keep what can't be copied (locks, open files, generators, results of a "
                        "forward pass) outside of the modules, or write __deepcopy__.") from error
    return copied.cpu().float().eval()


__all__ = ["light_copy"]
