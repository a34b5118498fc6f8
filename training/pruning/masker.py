"""Maskers: what holds zeros in a network while it is trained. The loop tells them of every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from ...common.errors import UserError
from ..masks import MaskKeeper


class Masker(Protocol):
    """Between two steps the network's weights are masked, whatever happens inside a step."""

    @property
    def masks(self) -> dict[str, torch.Tensor]:
        """The masks in force, bool by parameter name."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Act around every step of `optimizer`; told once for each phase, which has an optimizer of its own."""

    def step(self, step: int, steps: int) -> None:
        """A step begins: its number from 0, and how many the stage has."""

    def state(self) -> dict[str, torch.Tensor]:
        """What goes into a checkpoint."""

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state` gave; told after `attach`.

        Raises:
            UserError: masks are missing, or are those of another network.
        """


class Fixed:
    """The same masks from beginning to end, as in NVIDIA's ASP; with none, nothing is pruned.

    Args:
        masks: bool by parameter name. Defaults to none.
    """

    def __init__(self, masks: Mapping[str, torch.Tensor] | None = None) -> None:
        self._given = dict(masks or {})
        self._keeper: MaskKeeper | None = None

    @property
    def masks(self) -> dict[str, torch.Tensor]:
        """Those that were given."""
        return self._keeper.masks if self._keeper else self._given

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Zero the pruned weights now and after each step."""
        self._keeper = MaskKeeper(model, self.masks)
        self._keeper.apply()
        self._keeper.attach(optimizer)

    def step(self, step: int, steps: int) -> None:
        """Nothing changes."""

    def state(self) -> dict[str, torch.Tensor]:
        """The masks."""
        return dict(self.masks)

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Masks that were chosen on another machine may differ where two weights are equal: those saved are held."""
        if self._keeper:
            fitting(self.masks, tensors, "masks")
            self._keeper.set(tensors)
            self._keeper.apply()


def copy_into(held: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], what: str) -> None:
    """Copy tensors of a checkpoint into those of the same names.

    Raises:
        UserError: as `fitting`.
    """
    fitting(held, saved, what)
    for name, tensor in held.items():
        tensor.copy_(saved[name])


def fitting(held: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], what: str) -> None:
    """Refuse a checkpoint's tensors that are not these.

    Raises:
        UserError: names or shapes differ.
    """
    wrong = sorted(held.keys() ^ saved.keys())
    wrong += sorted(name for name in held.keys() & saved.keys() if held[name].shape != saved[name].shape)
    if wrong:
        raise UserError(
            f"This stage can't go on: the checkpoint lacks its {what}, or has another network's ({wrong[0]}).",
            where="checkpoint", fix="Delete checkpoint.json: the stage then starts from its beginning.",
        )


__all__ = ["Fixed", "Masker", "copy_into", "fitting"]
