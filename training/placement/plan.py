"""Decide where the quantizers of a network go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from .draft import Draft
from .modules import by_module, weight_names, weighted_layers
from .operations import is_container
from .patterns import choose
from .placement import Placement
from .sparse import place_outputs
from .tensorrt import place
from .trace import trace

UNTRACED = ("weights-and-inputs", "onnxruntime")


def plan(model: nn.Module, policy: str | list[str], example: Any, sparse: Iterable[str] = ()) -> Placement:
    """The placement that a policy asks for; the network stays as it is.

    Args:
        model: without quantizers.
        policy: `tensorrt`, `tensorrt-sparse`, `weights-and-inputs`, `onnxruntime`, or a list of policies and patterns.
        example: a small batch, as forward() takes it; not used by policies that look at layers alone.
        sparse: paths of the layers that can be 2:4, for `tensorrt-sparse`.

    Raises:
        UserError: a pattern matches no quantizer.
    """
    if isinstance(policy, str) and policy in UNTRACED:
        return by_module(model, policy)
    graph, _ = trace(model, example)
    closed = {name for name, module in model.named_modules() if is_container(module)}
    layers = weighted_layers(model)
    draft = Draft(graph, layers, _attributes(model), closed)
    called = {call.name for call in graph.calls}
    draft.missed += [f"{name} (never called)" for name in layers if name not in called]
    weights = [name for name in weight_names(model) if name.rpartition(".")[0] in called]
    place(draft)
    if policy == "tensorrt":
        return draft.finish(policy, weights)
    tensorrt = draft.points() | set(weights)
    place_outputs(draft, sparse)
    if policy == "tensorrt-sparse":
        return draft.finish(policy, weights)
    policies = {name: {entry[0] for entry in by_module(model, name).quantizers} for name in UNTRACED}
    policies |= {"tensorrt": tensorrt, "tensorrt-sparse": draft.points() | set(weights)}
    _place_everything(draft)
    wanted = choose(list(policy), policies, [*sorted(draft.points()), *weights])
    return draft.finish(policy, weights, wanted)


def _place_everything(draft: Draft) -> None:
    """Whatever a pattern may name: both summands of every sum, pooling, outputs of weighted layers."""
    graph = draft.graph
    for call in graph.calls:
        if call.kind in ("add", "pool") and all(graph.computed(tensor) for tensor in call.inputs):
            for operand in range(len(call.inputs)):
                draft.quantize_input(call, operand)
        if call.name in draft.weighted and not graph.repeated(call.module):
            draft.quantize_output(call)


def _attributes(model: nn.Module) -> set[str]:
    return {
        f"{path}.{name}".removeprefix(".")
        for path, module in model.named_modules()
        for name in {**vars(module), **module._modules, **module._parameters, **module._buffers}
    }


__all__ = ["UNTRACED", "plan"]
