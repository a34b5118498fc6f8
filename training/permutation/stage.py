"""The permutation in a sparse stage: searched once, also where the stage is interrupted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...calibrate.batches import checked
from ...common import console, files
from ...common.bundle import Layer
from ...common.errors import UserError
from ..weights import read_tensors, save_tensors
from .permute import permute
from .record import Permutation

RECORD, NETWORK = "permutation.json", "permuted.safetensors"


def permute_stage(
    network: nn.Module, layers: Sequence[Layer], calibration: Iterable[Any], key: str, seed: int, folder: Path
) -> Permutation:
    """Permute `network` in place and leave `permutation.json` and, until `forget`, `permuted.safetensors`.

    Args:
        network: dense.
        layers: those to be sparse are searched for.
        calibration: loader of what the network is followed with; two samples of it are used.
        key: hash of the stage's inputs; what an interrupted run of the same ones found is taken over.
        seed: of the search.
        folder: the stage's own.

    Raises:
        UserError: the loader can't be used, or a file can't be written.
    """
    found = _found(folder, key)
    if found is not None:
        network.load_state_dict(read_tensors(folder / NETWORK))
        return found
    found = permute(network, layers, _example(calibration), seed)
    (folder / RECORD).unlink(missing_ok=True)
    save_tensors(folder / NETWORK, network.state_dict())
    files.write_json(folder / RECORD, {"key": key, **found.model_dump()})
    _say(found)
    return found


def _found(folder: Path, key: str) -> Permutation | None:
    """What was left by a stage of the same inputs that didn't come to its end."""
    if not (folder / RECORD).is_file() or not (folder / NETWORK).is_file():
        return None
    record = files.read_json(folder / RECORD)
    if not isinstance(record, dict) or record.pop("key", None) != key:
        return None
    return Permutation.model_validate(record)


def _example(calibration: Iterable[Any]) -> torch.Tensor:
    for _, inputs, _ in checked(calibration, "calibration"):
        return inputs[:2]
    raise UserError("The loader is empty.", where="calibration loader", fix="Let it give at least one batch.")


def _say(found: Permutation) -> None:
    if found.groups:
        before, after = (sum(getattr(group, name) for group in found.groups) for name in ("default", "kept"))
        layers = len({name for group in found.groups for name in group.layers})
        more = f"{100 * (after / before - 1):.2f} % more of their magnitude"
        console.say(f"permuted: 2:4 keeps {more} in {layers} layers, {len(found.groups)} groups of channels")
    for name, why in found.left.items():
        console.log(f"not permuted: {name}: {why}")


def as_permuted(network: nn.Module, folder: Path) -> nn.Module:
    """Give a dense network the order of channels of the stage in `folder`, in place, if that stage is permuting."""
    if (folder / NETWORK).is_file():
        network.load_state_dict(read_tensors(folder / NETWORK))
    return network


def forget(folder: Path) -> None:
    """Delete the permuted dense network; call it when the stage is on record as done."""
    (folder / NETWORK).unlink(missing_ok=True)


__all__ = ["NETWORK", "RECORD", "as_permuted", "forget", "permute_stage"]
