"""Run the PyTorch network and write down what it answers, at its outputs and at every quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn

from ..common.agreement import agreement
from ..common.bundle import Agreement
from ..common.console import progress
from ..common.errors import UserError
from .qdq import is_enabled, is_quantizer
from .samples import named_outputs

Array = np.ndarray[Any, Any]
NOISE = 1e-5
_BATCH = 64


class Recorder:
    """A network in eval mode, asked in batches.

    Args:
        network: quantized; asked where its parameters are.
        by_name: forward() takes its inputs by keyword.
    """

    def __init__(self, network: nn.Module, *, by_name: bool) -> None:
        self.network, self.by_name = network.eval(), by_name
        first = next(network.parameters(), None)
        self._device = torch.device("cpu") if first is None else first.device

    def answer(self, inputs: Mapping[str, Array], label: str) -> dict[str, Array]:
        """Outputs by name, for inputs by name, with a progress bar called `label`.

        Raises:
            UserError: the answers hold NaN or infinity.
        """
        count = len(next(iter(inputs.values())))
        parts: list[dict[str, Array]] = []
        with progress(label, count) as advance:
            for start in range(0, count, _BATCH):
                part = {name: value[start : start + _BATCH] for name, value in inputs.items()}
                parts.append(self._call(part))
                advance(len(next(iter(part.values()))))
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, value in outputs.items():
            if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                raise UserError(f"The network's output {name!r} holds NaN or infinity on the validation samples.")
        return outputs

    def _call(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        arrays = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        tensors = {name: torch.from_numpy(value).to(self._device) for name, value in arrays.items()}
        with torch.no_grad():
            answer = self.network(**tensors) if self.by_name else self.network(*tensors.values())
        return {name: value.cpu().numpy() for name, value in named_outputs(answer).items()}

    def layers(self, inputs: Mapping[str, Array], names: set[str]) -> dict[str, Array]:
        """`tensors/<quantizer>` for each activation quantizer of `names`, and `outputs/<name>`, for the same inputs."""
        seen: dict[str, Array] = {}
        read: dict[str, list[torch.Tensor]] = {}
        wanted = {name.split("#")[0] for name in names}  # what a weight's quantizer gives is as large as the weight
        with ExitStack() as hooks:
            for name, module in self.network.named_modules():
                if name in wanted and is_quantizer(module) and is_enabled(module):
                    handle = module.register_forward_hook(_keeper(name, seen, read))
                    hooks.callback(handle.remove)
            outputs = self._call(inputs)
        kept = {f"tensors/{name}": value for name, value in seen.items() if name in names}
        return kept | {f"outputs/{name}": value for name, value in outputs.items()}

    def noise_floor(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array], data_range: float | None = None
    ) -> Agreement:
        """The network against itself, with Gaussian noise of standard deviation 1e-5 on its float inputs."""
        noise = np.random.default_rng(0)
        disturbed = dict(inputs)
        for name, value in inputs.items():
            if value.dtype.kind == "f":
                disturbed[name] = (value + noise.normal(0, NOISE, value.shape)).astype(value.dtype)
        return agreement(outputs, self.answer(disturbed, "noise floor"), data_range)


def _keeper(name: str, seen: dict[str, Array], read: dict[str, list[torch.Tensor]]) -> Any:
    def keep(_module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        before, number = read.setdefault(name, []), 0
        if any(tensor is inputs[0] for tensor in before):  # the graph has one pair for it too
            return
        before.append(inputs[0])
        while (key := f"{name}#{number}" if number else name) in seen:
            number += 1
        seen[key] = output.detach().cpu().numpy()

    return keep


__all__ = ["NOISE", "Recorder"]
