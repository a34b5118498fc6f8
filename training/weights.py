"""State dicts in files: safetensors, and PyTorch's own format read without unpickling code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ..common import files
from ..common.errors import UserError
from .patches import fit_patches

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_SHOWN = 5


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write named tensors as safetensors, whole or not at all; nothing is pickled.

    Args:
        path: the file.
        tensors: any device and strides; stored contiguous, and each one alone even where two share memory.

    Raises:
        UserError: the disk is full or the folder can't be written; a file that was there stays as it was.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = save(plain)
    with files.atomic(path) as temporary:
        temporary.write_bytes(content)  # safetensors' own writing hides the system's error, such as a full disk


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read named tensors of a safetensors file, onto the CPU.

    Raises:
        UserError: it is missing or damaged.
    """
    if not path.is_file():
        raise UserError("This file is missing.", where=str(path), fix="Check the path, or run its stage again.")
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"This file is damaged: it is no safetensors file ({error}).", where=str(path)) from error
    return tensors


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict; a `.pt` file is read by an unpickler that knows tensors and nothing else.

    Raises:
        UserError: it is missing, damaged, holds more than tensors, or would run code.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if not path.is_file():
        raise UserError("This file of weights is missing.", where=str(path), fix="Correct model.weights.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            "This file holds pickled objects other than tensors, which twofour never loads because they can run code.",
            where=str(path),
            fix="Save the model's state_dict(), best as safetensors.",
        ) from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"This file of weights is damaged ({said}).", where=str(path)) from error
    return _state(content, path)


def _state(content: Any, path: Path) -> dict[str, torch.Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError("This file holds no state dict.", where=str(path), fix="Save the model's state_dict().")
    return dict(content)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a state dict into `model`, in place, all of it or nothing.

    Raises:
        UserError: the file can't be used, or its names or shapes are not the model's; those that differ are named.
    """
    state = read_weights(Path(path))
    fit_state(model, state, str(path))


def fit_state(model: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Load `state` into `model`, in place, all of it or nothing.

    A patch embedding's weight fits as a convolution's and as a Linear's.

    Raises:
        UserError: names or shapes differ from the model's.
    """
    own, state = model.state_dict(), fit_patches(model, state)
    missing, unexpected = [key for key in own if key not in state], [key for key in state if key not in own]
    if missing or unexpected:
        parts = [f"missing {_list(missing)}"] * bool(missing) + [f"unexpected {_list(unexpected)}"] * bool(unexpected)
        raise UserError(
            f"The weights don't fit the model: {'; '.join(parts)}.",
            where=where,
            fix="Check model.factory and model.args.",
        )
    wrong = [key for key in own if own[key].shape != state[key].shape]
    if wrong:
        shown = [f"{key} is {tuple(state[key].shape)} in the file and {tuple(own[key].shape)} here" for key in wrong]
        raise UserError(
            f"The weights have other shapes than the model: {_list(shown)}.",
            where=where,
            fix="Check model.args, such as the number of classes.",
        )
    model.load_state_dict(state)


def _list(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


__all__ = ["fit_state", "load_weights", "read_tensors", "read_weights", "save_tensors"]
