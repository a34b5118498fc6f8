"""What holds for any residual network."""

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from twofour.training.quantize import enabled, insert, place

PARTS = st.sampled_from(["plain", "in place", "function", "turned", "project", "joined"])
X = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))


def build(load, parts):
    made = load("training/placement/conftest.py")
    torch.manual_seed(0)
    layers = [
        made.Joined() if part == "joined" else made.Block(project=part == "project", style=part) for part in parts
    ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()


@settings(max_examples=15, deadline=None)
@given(parts=st.lists(PARTS, min_size=1, max_size=4))
def test_any_residual_network(load, parts):
    plain = build(load, parts)
    model = copy.deepcopy(plain)
    placement = place(model, "tensorrt", X)
    assert placement.policy == "tensorrt"
    assert not placement.missed
    main_branches_are_float(model, parts)
    weighted_inputs_have_one_quantizer(model)
    again = insert(copy.deepcopy(plain), placement)
    assert list(enabled(again)) == list(enabled(model))
    for quantizer in enabled(model).values():
        quantizer.disable()
    assert torch.equal(model(X), plain(X))


def main_branches_are_float(model, parts):
    for index, part in enumerate(parts):
        if part != "joined":
            main, skip = ("b", "a") if part == "turned" else ("a", "b")
            add = model[index].add_0
            assert f"input_quantizer_{skip}" in add._modules
            assert f"input_quantizer_{main}" not in add._modules
            assert "output_quantizer" not in model[index].bn2._modules
            assert not model[index].conv2.output_quantizer.is_enabled


def weighted_inputs_have_one_quantizer(model):
    """Run in float with counting: what reaches a layer's own quantizer has come through no other one just before."""
    made, doubled = {}, []

    def look(quantizer, args, output):
        if id(args[0]) in made and made[id(args[0])][0] is not quantizer:
            doubled.append(args[0])
        made[id(output)] = quantizer, output

    unique = {id(quantizer): quantizer for quantizer in enabled(model).values()}
    hooks = [quantizer.register_forward_hook(look) for quantizer in unique.values()]
    for quantizer in unique.values():
        quantizer.amax = torch.tensor(1.0)
    model(X)
    for hook in hooks:
        hook.remove()
    assert not doubled
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert all(layer.input_quantizer.is_enabled and layer.weight_quantizer.is_enabled for layer in layers)
