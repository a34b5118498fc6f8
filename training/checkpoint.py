"""Checkpoints at the end of every epoch: tensors as safetensors, the rest as JSON, nothing pickled.

First the tensors are written, then the JSON that names them and holds their hash, then older ones are deleted. A
process that is killed anywhere between leaves the last whole epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..common import files
from ..common.errors import UserError
from .weights import read_tensors, save_tensors

INDEX = "checkpoint.json"
_FIX = f"Delete {INDEX}: the stage then starts from its beginning."


class Stateful(Protocol):
    """What has tensors of its own in a checkpoint."""

    def state(self) -> dict[str, torch.Tensor]:
        """What goes in."""

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave."""


@dataclass(frozen=True)
class Checkpoint:
    """The state at the end of an epoch.

    Attributes:
        epoch: number of whole epochs.
        tensors: `model/NAME`, `optimizer/INDEX/NAME`, and under names of their own what the loop adds.
        history: one entry per epoch.
    """

    epoch: int
    tensors: dict[str, torch.Tensor]
    history: list[dict[str, float]]


def pack(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The tensors of a network and its optimizer, under flat names."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        found = {f"optimizer/{index}/{name}": value for name, value in state.items() if isinstance(value, torch.Tensor)}
        tensors |= found
    return tensors


def unpack(tensors: Mapping[str, torch.Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put the tensors of `pack` back."""
    model.load_state_dict(part(tensors, "model"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors named `prefix/NAME`, by NAME."""
    return {name[len(prefix) + 1:]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}/")}


def save(folder: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, then delete the older ones.

    Raises:
        UserError: it can't be written; the one before is kept.
    """
    path = folder / f"checkpoint-{checkpoint.epoch:04d}.safetensors"
    save_tensors(path, checkpoint.tensors)
    record = {"key": key, "epoch": checkpoint.epoch, "sha256": files.sha256(path), "history": checkpoint.history}
    files.write_json(folder / INDEX, record)
    _delete(folder, keep={INDEX, path.name})


def load(folder: Path, key: str) -> Checkpoint | None:
    """The checkpoint of these inputs, or None; one of other inputs is deleted.

    Raises:
        UserError: it is damaged; the file is named.
    """
    if not (folder / INDEX).is_file():
        _delete(folder, keep=set())
        return None
    record = _record(folder / INDEX)
    if record["key"] != key:
        _delete(folder, keep=set())
        return None
    name = f"checkpoint-{record['epoch']:04d}.safetensors"
    files.verify(folder, {name: record["sha256"]}, _FIX)
    return Checkpoint(record["epoch"], read_tensors(folder / name), record["history"])


def _record(path: Path) -> dict[str, Any]:
    record = files.read_json(path)
    kinds = {"key": str, "epoch": int, "sha256": str, "history": list}
    if not isinstance(record, dict) or not all(isinstance(record.get(name), kind) for name, kind in kinds.items()):
        raise UserError("This checkpoint is damaged: a key is missing.", where=str(path), fix=_FIX)
    return record


def clear(folder: Path) -> None:
    """Delete every checkpoint of the folder, the index first."""
    with suppress(FileNotFoundError):
        (folder / INDEX).unlink()
    _delete(folder, keep=set())


def _delete(folder: Path, keep: set[str]) -> None:
    for pattern in (INDEX, "checkpoint-*.safetensors", ".checkpoint*.tmp"):
        for path in folder.glob(pattern):
            if path.name not in keep:
                path.unlink(missing_ok=True)


__all__ = ["Checkpoint", "Stateful", "clear", "load", "pack", "part", "save", "unpack"]
