"""Networks that come with quantizers, calibrated elsewhere by ModelOpt or pytorch-quantization.

Their quantizers and ranges stay as they are. What the export can't say exactly in symmetric INT8 is refused here,
before anything is measured or trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ..common.bundle import Range
from ..common.errors import UserError
from ..common.quantizers import WEIGHT, is_enabled, is_quantizer
from .config import TrainConfig
from .eligibility import weight_of

METHOD = "given"
_INT8 = "Quantize it again with 8 bits, signed and symmetric (ModelOpt's INT8_DEFAULT_CFG), or disable this quantizer."
_TRAITS = {  # attribute: what it is called where it is set
    "_dynamic": "dynamic ranges, computed anew for each input", "block_sizes": "a range per block",
    "pre_quant_scale": "a smoothing scale in front", "_rotate": "a rotation in front", "_bias": "an asymmetric range",
    "_learn_amax": "a range that is still learned", "_scale_amax": "a factor on its range",
}


def given_quantizers(model: nn.Module) -> dict[str, nn.Module]:
    """The quantizers of a network that are not disabled, by module path; one that is shared, once."""
    return {name: module for name, module in model.named_modules()
            if is_quantizer(module) and not getattr(module, "_disabled") and _works(module)}  # noqa: B009


def _works(quantizer: nn.Module) -> bool:
    return is_enabled(quantizer) or bool(getattr(quantizer, "_if_calib", False))


def refuse_training(model: nn.Module, stages: Iterable[TrainConfig]) -> None:
    """Quantizers are fitted to weights, so a network that has them can be fine-tuned (`qat`) and no more.

    Raises:
        UserError: a stage would train it anew or prune it.
    """
    for train in stages:
        if given_quantizers(model) and (train.stage == "sparse" or (train.stage == "dense" and train.total_epochs)):
            raise UserError(
                f"This network comes with quantizers, and a {train.stage} stage comes before quantization.",
                where="training", fix="Prune and train it first and quantize it then, or leave the stage out.",
            )


def given_ranges(model: nn.Module) -> list[Range]:
    """The ranges of the quantizers that a network came with, in its order; none where it has none.

    Raises:
        UserError: a quantizer is not calibrated, or can't be said exactly in symmetric INT8; it is named.
    """
    return [_range(model, name, quantizer) for name, quantizer in given_quantizers(model).items()]


def _range(model: nn.Module, name: str, quantizer: Any) -> Range:
    _check_kind(name, quantizer)
    amax = quantizer.amax
    if amax is None:
        raise UserError("This quantizer has no range: it was never calibrated.", where=name,
                        fix="Calibrate the network where it was quantized, or disable this quantizer.")
    values = torch.as_tensor(amax).detach().cpu().float()
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
        raise UserError("The range of this quantizer is negative, NaN or infinite.", where=name,
                        fix="Calibrate the network again.")
    axis = _axis(name, quantizer, values)
    if name.endswith(WEIGHT):
        _check_codes(name, model.get_submodule(name.rpartition(".")[0]), quantizer, values, axis)
    elif axis is not None:
        raise UserError("This quantizer has a range per channel of an activation, which INT8 engines don't have.",
                        where=name, fix="Quantize activations with one range per tensor.")
    flat = values.flatten().tolist()
    return Range(tensor=name, method=METHOD, amax=flat if axis is not None else flat[0], axis=axis)


def _check_kind(name: str, quantizer: Any) -> None:
    if getattr(quantizer, "_if_calib", False):
        raise UserError("This quantizer is still calibrating.", where=name,
                        fix="Call load_calib_amax(), disable_calib() and enable_quant() on it before it is returned.")
    bits, unsigned = quantizer._num_bits, bool(getattr(quantizer, "_unsigned", False))
    half = unsigned and bits == 7  # codes 0 to 127: half of int8's, with the same scale
    if unsigned and not half:
        raise UserError("This quantizer is unsigned: its codes 0 to 255 don't fit int8 with the same scale.",
                        where=name, fix=_INT8)
    if bits != 8 and not half:
        kind = "FP8" if isinstance(bits, tuple) else f"{bits} bits"
        raise UserError(f"This quantizer has {kind}; the export writes symmetric INT8.", where=name, fix=_INT8)
    found = [words for attribute, words in _TRAITS.items() if _set(getattr(quantizer, attribute, None))]
    if found or not getattr(quantizer, "_fake_quant", True):
        what = found[0] if found else "real instead of fake quantization"
        raise UserError(f"This quantizer has {what}; the export can't say that in INT8.", where=name, fix=_INT8)


def _set(value: Any) -> bool:
    return value is not None and value is not False


def _axis(name: str, quantizer: Any, amax: torch.Tensor) -> int | None:
    wide = [index for index, size in enumerate(amax.shape) if size > 1]
    if not wide:
        return None
    if len(wide) > 1:
        raise UserError("This quantizer has ranges along more than one axis.", where=name, fix=_INT8)
    axis = getattr(quantizer, "_axis", None)
    return axis if amax.ndim == 1 and isinstance(axis, int) else wide[0]


def _check_codes(name: str, layer: nn.Module, quantizer: Any, amax: torch.Tensor, axis: int | None) -> None:
    weight = weight_of(layer)
    if quantizer._narrow_range or weight is None:
        return
    shape = [1] * weight.ndim
    if axis is not None:
        shape[axis] = -1
    if bool((weight.detach().cpu().float() * 127 < -127.5 * amax.reshape(shape)).any()):
        raise UserError("A weight lies so far below this quantizer's range that its code is -128; the export writes "
                        "-127 to 127.", where=name, fix="Calibrate weights by their largest magnitude, or set "
                        "narrow_range where it was quantized.")


__all__ = ["METHOD", "given_quantizers", "given_ranges", "refuse_training"]
