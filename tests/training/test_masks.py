import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from twofour.common.bundle import Layer
from twofour.common.errors import UserError
from twofour.training.masks import (
    MaskKeeper,
    fit_masks,
    found_masks,
    is_two_four,
    magnitude_masks,
    pruned,
    two_four_mask,
)


def layer(name, sparse=True):
    return Layer(name=name, kind="Linear", shape=[], sparse=sparse, reason="")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([0, 1]), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_every_group_keeps_its_two_largest(seed, axis, groups, other, kernel):
    shape = [other, kernel, kernel]
    shape.insert(axis, 4 * groups)
    weight = torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed)).float()
    mask = two_four_mask(weight, axis)
    kept = mask.movedim(axis, -1).reshape(-1, 4)
    sizes = weight.abs().movedim(axis, -1).reshape(-1, 4)
    assert mask.shape == weight.shape
    assert (kept.sum(1) == 2).all()
    assert ((sizes * kept).sum(1) == sizes.sort(1).values[:, 2:].sum(1)).all()
    assert is_two_four(weight * mask, axis)


def test_of_equal_magnitudes_the_first_ones_stay():
    assert two_four_mask(torch.tensor([[1.0, -1.0, 1.0, 1.0]]), 1).tolist() == [[True, True, False, False]]


def test_groups_run_along_the_reduction_axis_not_across_it():
    weight = torch.zeros(4, 4)
    weight[:2] = 1.0
    assert is_two_four(weight, 0)
    assert not is_two_four(weight, 1)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1),
    "rprop": lambda p: torch.optim.Rprop(p, 0.1),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1, amsgrad=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masks_hold_through_any_optimizer(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8))
    masks = magnitude_masks(model, [layer("0"), layer("2", sparse=False)])
    optimizer = OPTIMIZERS[name](model.parameters())
    keeper = MaskKeeper(model, masks)
    keeper.apply()
    keeper.attach(optimizer)
    before = model[0].weight.detach().clone()
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(4, 16)).square().sum().backward()
        optimizer.step()
    assert masks.keys() == {"0.weight"}
    assert not model[0].weight[~masks["0.weight"]].any()
    assert not torch.equal(model[0].weight, before)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("keyword", [True, False])
def test_masks_hold_inside_the_steps_of_an_optimizer_with_a_closure(search, keyword):
    torch.manual_seed(0)
    model, inputs, seen = nn.Sequential(nn.Linear(16, 8)), torch.randn(32, 16), []
    masks = magnitude_masks(model, [layer("0")])
    optimizer = torch.optim.LBFGS(model.parameters(), 0.5, max_iter=5, line_search_fn=search)
    keeper = MaskKeeper(model, masks)
    keeper.apply()
    keeper.attach(optimizer)

    def closure():
        optimizer.zero_grad()
        seen.append(bool(model[0].weight[~masks["0.weight"]].any()))
        loss = (model(inputs) - inputs[:, :8]).square().mean()
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(3):
        optimizer.step(closure=closure) if keyword else optimizer.step(closure)
    assert not any(seen)
    assert not model[0].weight[~masks["0.weight"]].any()
    assert closure().item() < 0.7 * first


def test_clipping_sees_the_gradients_of_pruned_weights_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8, bias=False))
    masks, optimizer = magnitude_masks(model, [layer("0")]), torch.optim.SGD(model.parameters(), 1.0)
    keeper = MaskKeeper(model, masks)
    keeper.apply()
    keeper.attach(optimizer)
    before = model[0].weight.detach().clone()
    model(torch.randn(4, 16)).square().sum().backward()
    whole = float(model[0].weight.grad.norm())
    assert float(nn.utils.clip_grad_norm_(model.parameters(), 1.0)) == pytest.approx(whole)
    optimizer.step()
    moved = float((model[0].weight.detach() - before).norm())
    assert moved < 0.95  # masked after clipping: what is left of a gradient of norm 1


def test_masks_of_another_model_are_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8))
    masks = magnitude_masks(model, [layer("0")])
    with pytest.raises(UserError, match="that they prune are not zero"):
        fit_masks(model, masks, "masks.safetensors")
    MaskKeeper(model, masks).apply()
    fit_masks(model, masks, "masks.safetensors")
    for wrong in ({"1.weight": masks["0.weight"]}, {"0.weight": masks["0.weight"][:4]}):
        with pytest.raises(UserError, match=r"masks\.safetensors.*another model's"):
            fit_masks(model, wrong, "masks.safetensors")


def test_a_network_is_pruned_for_a_while():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8))
    before, masks = model[0].weight.detach().clone(), magnitude_masks(model, [layer("0")])
    with pruned(model, masks):
        assert torch.equal(model[0].weight, before * masks["0.weight"])
    assert torch.equal(model[0].weight, before)


def test_masks_hold_through_weight_averaging():
    torch.manual_seed(0)
    model = nn.Linear(16, 8)
    masks = {"weight": two_four_mask(model.weight, 1)}
    MaskKeeper(model, masks).apply()
    averaged = AveragedModel(model)
    with torch.no_grad():
        model.weight.mul_(3)
    averaged.update_parameters(model)
    assert not averaged.module.weight[~masks["weight"]].any()
    with torch.no_grad():
        averaged.module.weight.fill_(1)
    MaskKeeper(averaged, masks).apply()
    assert is_two_four(averaged.module.weight, 1)


def test_weights_that_came_two_four_give_their_own_masks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(16, 8))
    MaskKeeper(model, magnitude_masks(model, [layer("1")])).apply()
    found = found_masks(model, [layer("0"), layer("1")])
    assert found.keys() == {"1.weight"}
    assert torch.equal(found["1.weight"], model[1].weight != 0)
