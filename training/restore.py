"""A network as a stage left it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from ..common import files
from ..common.bundle import Layer, Range
from ..common.errors import UserError
from .config import ModelConfig
from .factory import build_model
from .given import given_quantizers
from .placement.placement import PLACEMENT, Placement
from .seeds import steady
from .weights import fit_state, read_tensors, save_tensors

WEIGHTS, MASKS, LAYERS, RANGES, METRICS = (
    "weights.safetensors", "masks.safetensors", "layers.json", "ranges.json", "metrics.json"
)


def load_stage(model: ModelConfig, folder: Path) -> nn.Module:
    """Build the network and load what the stage left in its folder.

    Args:
        model: the recipe's factory and arguments; its own weights are not read.
        folder: of the stage; where it has ranges, quantizers are inserted as its placement says, and with no placement
            at the weighted layers and `Add`.

    Returns:
        The network on the CPU, in eval mode.

    Raises:
        UserError: a file is missing or damaged, or doesn't fit the network.
    """
    with steady():
        network = build_model(model.model_copy(update={"weights": None}))
    if (folder / RANGES).is_file() and not given_quantizers(network):
        from .quantize import insert, set_ranges

        ranges = read_ranges(folder)
        set_ranges(insert(network, read_placement(folder), max((entry.bits for entry in ranges), default=8)), ranges)
    fit_state(network, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return network.eval()


def read_ranges(folder: Path) -> list[Range]:
    """The ranges that calibration chose.

    Raises:
        UserError: `ranges.json` is missing or damaged.
    """
    return _read(folder / RANGES, TypeAdapter(list[Range]))


def read_placement(folder: Path) -> Placement | None:
    """Where the quantizers are; None where the folder doesn't say.

    Raises:
        UserError: `placement.json` is damaged.
    """
    path = folder / PLACEMENT
    if not path.is_file():
        return None
    try:
        return Placement.model_validate(files.read_json(path))
    except ValidationError as error:
        raise _damaged(path, error) from error


def write_placement(folder: Path, placement: Placement) -> None:
    """Write `placement.json`."""
    files.write_json(folder / PLACEMENT, placement.model_dump())


def read_layers(folder: Path) -> list[Layer]:
    """The weighted layers, and which of them are sparse.

    Raises:
        UserError: `layers.json` is missing or damaged.
    """
    return _read(folder / LAYERS, TypeAdapter(list[Layer]))


def _read(path: Path, kind: TypeAdapter[list[Layer]] | TypeAdapter[list[Range]]) -> list:  # type: ignore[type-arg]
    try:
        return kind.validate_python(files.read_json(path))
    except ValidationError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: ValidationError) -> UserError:
    return UserError(f"This file is damaged ({error.errors()[0]['msg']}).", where=str(path), fix="Run its stage again.")


def read_masks(folder: Path) -> dict[str, torch.Tensor]:
    """The masks by parameter name; none where the stage had nothing to prune.

    Raises:
        UserError: a layer that was pruned, by the table of layers, has no mask.
    """
    path = folder / MASKS
    masks = {name: mask.bool() for name, mask in read_tensors(path).items()} if path.is_file() else {}
    pruned = [layer.name for layer in read_layers(folder) if layer.sparse] if (folder / LAYERS).is_file() else []
    missing = [name for name in pruned if f"{name}.weight" not in masks]
    if missing:
        which = "this pruned network" if len(missing) == len(pruned) else f"pruned layers ({', '.join(missing[:3])})"
        raise UserError(f"The masks of {which} are missing: nothing would hold the zeros.",
                        where=str(path), fix="Run the stage again that leaves this file.")
    return masks


def write_masks(folder: Path, masks: dict[str, torch.Tensor], layers: Sequence[Layer]) -> None:
    """Write masks (uint8, 1 where the weight stays) and the table of layers."""
    save_tensors(folder / MASKS, {name: mask.to(torch.uint8) for name, mask in masks.items()})
    files.write_json(folder / LAYERS, [layer.model_dump() for layer in layers])


def write_ranges(folder: Path, ranges: Sequence[Range]) -> None:
    """Write `ranges.json`."""
    files.write_json(folder / RANGES, [entry.model_dump() for entry in ranges])


__all__ = [
    "LAYERS", "MASKS", "METRICS", "PLACEMENT", "RANGES", "WEIGHTS", "load_stage", "read_layers", "read_masks",
    "read_placement", "read_ranges", "write_masks", "write_placement", "write_ranges",
]
