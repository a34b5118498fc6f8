"""Swap the quantizers of a PyTorch network for markers that every exporter carries into the ONNX graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..common.errors import UserError
from ..common.quantizers import is_enabled, is_quantizer
from .graph.quantizers import DOMAIN, MARKER, Quantizer
from .light_copy import light_copy

_DEMANDS = (("_num_bits", 8), ("_unsigned", False), ("block_sizes", None), ("pre_quant_scale", None))


class Marker(nn.Module):
    """Stands where a quantizer stood: identity in PyTorch, the operator `twofour::Quantizer` in the exported graph."""

    def __init__(self, name: str, torchscript: bool) -> None:
        super().__init__()
        self.name, self.torchscript = name, torchscript

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape and float dtype, returned alike."""
        if self.torchscript:
            marked: torch.Tensor = _TorchScriptMarker.apply(x, self.name)  # type: ignore[no-untyped-call]
            return marked
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{MARKER}", (x,), {"name": self.name}, dtype=x.dtype, shape=x.shape, version=1
        )


class _TorchScriptMarker(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: object, x: torch.Tensor, _name: str) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def symbolic(g, x, name):  # type: ignore[no-untyped-def]
        return g.op(f"{DOMAIN}::{MARKER}", x, name_s=name).setType(x.type())


def marked_copy(network: nn.Module, *, torchscript: bool) -> tuple[nn.Module, dict[str, Quantizer]]:
    """A float32 copy on the CPU, in eval mode, with markers in place of the quantizers; `network` stays as it is.

    Float32 parameters on the CPU are shared with `network`, not copied.

    Args:
        network: with `TensorQuantizer`s of ModelOpt or pytorch-quantization, calibrated.
        torchscript: which exporter the markers are for.

    Returns:
        The copy, and the enabled quantizers by module path. Disabled ones are identities.

    Raises:
        UserError: a quantizer is not a calibrated, symmetric, signed INT8 one (it is named).
    """
    copied = light_copy(network)
    found: dict[str, Quantizer] = {}
    if is_quantizer(copied):
        raise UserError("The network is a quantizer itself; there is nothing to export.")
    _swap(copied, "", found, {}, torchscript)
    return copied, found


def _swap(
    module: nn.Module, prefix: str, found: dict[str, Quantizer], done: dict[int, nn.Module], torchscript: bool
) -> None:
    for name, child in list(module.named_children()):
        path = f"{prefix}{name}"
        if not is_quantizer(child):
            _swap(child, f"{path}.", found, done, torchscript)
            continue
        if id(child) not in done:
            done[id(child)] = Marker(path, torchscript) if is_enabled(child) else nn.Identity()
            if is_enabled(child):
                found[path] = describe(child, path)
        module._modules[name] = done[id(child)]


def describe(quantizer: nn.Module, name: str) -> Quantizer:
    """Its range, axis and codes.

    Raises:
        UserError: it can't be written as QuantizeLinear with INT8 codes and zero point 0, or has no usable range.
    """
    half = getattr(quantizer, "_unsigned", False) is True and quantizer._num_bits == 7  # codes 0 to 127, as in INT8
    for attribute, expected in _DEMANDS[2:] if half else _DEMANDS:
        value = getattr(quantizer, attribute, expected)
        if value != expected:
            raise UserError(
                f"This quantizer has {attribute.strip('_')} = {value}; the export writes symmetric signed INT8 only.",
                where=name,
                fix="Quantize with 8 bits, signed, without blocks and without smoothing; or disable this quantizer.",
            )
    amax = _range(quantizer, name)
    squeezed = amax.reshape(-1) if amax.size > 1 else amax.reshape(())
    return Quantizer(squeezed, _axis(quantizer, amax, name), bool(quantizer._narrow_range))


def _range(quantizer: nn.Module, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    fix = "Calibrate the network (twofour calibrate) before it is exported, or disable this quantizer."
    amax = getattr(quantizer, "amax", None)
    if amax is None:
        raise UserError("This quantizer has no range: it was never calibrated.", where=name, fix=fix)
    array = torch.as_tensor(amax).detach().cpu().float().numpy()
    if not np.all(np.isfinite(array)) or np.any(array < 0):
        raise UserError("The range of this quantizer is negative, NaN or infinite.", where=name, fix=fix)
    return array


def _axis(quantizer: nn.Module, amax: np.ndarray[tuple[int, ...], np.dtype[np.float32]], name: str) -> int | None:
    if amax.size == 1:
        return None
    wide = [index for index, size in enumerate(amax.shape) if size > 1]
    axis = getattr(quantizer, "axis", None)
    if amax.ndim > 1 and len(wide) == 1:
        return wide[0]
    if amax.ndim == 1 and isinstance(axis, int):
        return axis
    raise UserError("This quantizer has ranges along more than one axis; ONNX knows one.", where=name)


__all__ = ["Marker", "describe", "is_enabled", "is_quantizer", "marked_copy"]
